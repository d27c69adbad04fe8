_hcrun() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} i
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            @valued@) ((i++)) ;;
            -*) ;;
            *)  # the check; behind it the command's own completion takes over
                [[ ${COMP_WORDS[i+1]} == -- ]] && ((i++))
                ((i < COMP_CWORD)) && _command_offset $((i + 1)) 2>/dev/null
                return ;;
        esac
    done
    case $previous in
        --overlap) COMPREPLY=($(compgen -W 'allow skip wait' -- "$current")); return ;;
    esac
    COMPREPLY=($(compgen -W '@flags@' -- "$current"))
}
complete -o default -F _hcrun hcrun
