#compdef @programs@
# Tab completion of hcrun, hcctl and the probes. Made by hcctl completion zsh.
_hcrun_offers=@offers@
_hcrun() {
    local line="${(j: :)${(@)words[1,CURRENT-1]}} $PREFIX" offer separator
    local -a offers
    for offer in "${(@f)$(sh -c "$_hcrun_offers" sh "$line" 2>/dev/null)}"; do
        case $offer in
            $'\tfiles') _files ;;
            $'\tcommand')
                separator=${words[(i)--]}
                ((separator < CURRENT)) || continue
                words=("${(@)words[separator+1,-1]}")
                ((CURRENT -= separator))
                _normal ;;
            ?*) offers+=("${${offer%%$'\t'*}//:/\\:}:${offer#*$'\t'}") ;;
        esac
    done
    ((${#offers})) && _describe -V value offers
}
if [[ $funcstack[1] == _hcrun ]]; then
    _hcrun "$@"
else
    compdef _hcrun @programs@
fi
