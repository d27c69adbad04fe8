# Tab completion of hcrun, hcctl and the probes. Made by hcctl completion fish.
set --global __hcrun_offers @offers@
function __hcrun
    set -l line (commandline --cut-at-cursor --current-process)
    for offer in (sh -c $__hcrun_offers sh "$line" 2>/dev/null)
        switch $offer
            case \tfiles
                __fish_complete_path (commandline --current-token)
            case \tcommand
                complete --do-complete=(string replace --regex '^.*? -- ' '' -- $line)
            case '*'
                echo $offer
        end
    end
end
for program in @programs@
    complete --command $program --no-files --arguments '(__hcrun)'
end
