# What may stand at the end of the command line $1: a line for each word, with what it is behind a
# tab. "" with `files` or `command` behind it: what the shell completes itself.
# The table has command, word, kind of its value, and what it is; @table@ is completion.txt.
state=${XDG_STATE_HOME:-$HOME/.local/state}/hcrun
[ "$(id -u)" != 0 ] || state=/var/lib/hcrun
export journal="${STATE_DIRECTORY:-$state}/journal.db" line="$1"
export names='import _sqlite3, sys
for name, in _sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True).execute("SELECT DISTINCT name FROM checks"):
    print(name)'
awk '
BEGIN {
    FS = "\t"
    line = ENVIRON["line"]
    last = split(line, word, " ")
    if (line !~ /[ \t]$/) current = word[last--]
    program = word[1]
    sub(/.*\//, "", program)
    arguments = 0
}
$1 == program || index($1, program " ") == 1 {
    known[$1]
    kinds[$1, $2] = $3
    row[++rows] = $0
}
END {
    if (last < 1) exit
    path = program
    for (i = 2; i <= last; i++) {
        if (valued != "") valued = ""
        else if (word[i] ~ /^-/) { if (kinds[path, word[i]] != "") valued = word[i] }
        else if ((path " " word[i]) in known) { path = path " " word[i]; arguments = 0 }
        else if (path == "hcrun") { print "\tcommand"; exit }
        else arguments++
    }
    flag = current
    sub(/=.*/, "", flag)
    if (valued != "") values(kinds[path, valued], current, "")
    else if (flag != current) values(kinds[path, flag], substr(current, length(flag) + 2), flag "=")
    else {
        for (i = 1; i <= rows; i++) {
            split(row[i], cell, "\t")
            if (cell[1] != path) continue
            if (cell[2] ~ /^\./) { if (cell[2] == "." arguments || cell[2] == ".*") values(cell[3], current, "") }
            else if (substr(cell[2], 1, 1) == "-" ? current ~ /^-/ : !arguments) offer(cell[2], current, "", cell[4])
        }
    }
}
function offer(text, current, before, about) {
    if (text != "" && index(text, current) == 1 && !seen[text]++) print before text "\t" about
}
function values(kind, current, before,    part, n, i, command, name) {
    if (kind == "files") print "\tfiles"
    if (kind == "durations") kind = "30s|1m|5m|15m|30m|1h|6h|1d|1w"
    if (kind ~ /[|]/) {
        n = split(kind, part, "|")
        for (i = 1; i <= n; i++) offer(part[i], current, before)
    }
    if (kind !~ /^(checks|tiers|environments|tags)$/) return
    if (match(current, /.*,/)) {  # several, with commas
        before = before substr(current, 1, RLENGTH)
        current = substr(current, RLENGTH + 1)
    }
    catalogue(kind, current, before)
    if (kind != "checks") return
    for (name in ENVIRON) if (sub(/^HC_CHECK_/, "", name)) {
        sub(/_FILE$/, "", name)
        gsub(/_/, "-", name)
        offer(tolower(name), current, before)
    }
    command = "[ -O \"$journal\" ] && python3 -ISc \"$names\" \"$journal\" 2>/dev/null"
    while ((command | getline name) > 0) offer(name, current, before)
}
function catalogue(kind, current, before,    file, text, table, name, part, n, i, found, suffix, suffixes) {
    file = "/etc/hcrun/checks.toml"
    for (i = 2; i <= last; i++) if (word[i - 1] == "--catalog") file = word[i]
    suffix[0] = ""
    while ((getline text < file) > 0) {
        sub(/^[ \t]+/, "", text)
        if (text ~ /^\[[ \t]*(checks|tiers|environments)[ \t]*\./) {
            table = text
            gsub(/^\[[ \t]*|[ \t]*\..*/, "", table)
            sub(/^[^.]*\.[ \t]*/, "", text)
            if (text ~ /^["\047]/) { name = substr(text, 2); sub(/["\047].*/, "", name) }
            else { name = text; sub(/[ \t]*[].].*/, "", name) }
            if (table == kind && kind == "checks") found[++n] = name
            else if (table == kind) offer(name, current, before)
            else if (kind == "tags" && table == "tiers") offer("tier:" name, current, before)
            else if (kind == "tags" && table == "environments") offer("env:" name, current, before)
        } else if (text ~ /^suffix[ \t]*=/) {
            split(text, part, "\"")
            suffix[++suffixes] = part[2]
        } else if (kind == "tags" && text ~ /^tags[ \t]*=/) {
            i = split(text, part, "\"")
            for (i -= i % 2; i > 0; i -= 2) offer(part[i], current, before)
        }
    }
    for (i = 1; i <= n; i++) for (name = 0; name <= suffixes; name++) offer(found[i] suffix[name], current, before)
}
' <<'TABLE' 2>/dev/null
@table@TABLE
