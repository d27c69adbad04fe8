# Tab completion of hcrun, hcctl and the probes. Made by hcctl completion bash.
_hcrun_offers=@offers@
_hcrun() {
    local line=${COMP_LINE:0:COMP_POINT} current kept offer i
    current=${line##*[[:space:]]}
    kept=${current%"${current##*[:=]}"} # bash has begun a new word behind : and =
    COMPREPLY=()
    while IFS= read -r offer; do
        case $offer in
            $'\tfiles') compopt -o default 2>/dev/null ;;
            $'\tcommand')
                for ((i = 1; i < COMP_CWORD; i++)); do
                    [[ ${COMP_WORDS[i]} == -- ]] || continue
                    _command_offset $((i + 1)) 2>/dev/null
                    return
                done ;;
            *)
                offer=${offer%%$'\t'*}
                COMPREPLY+=("${offer#"$kept"}") ;;
        esac
    done < <(sh -c "$_hcrun_offers" sh "$line" 2>/dev/null)
}
complete -F _hcrun @programs@
