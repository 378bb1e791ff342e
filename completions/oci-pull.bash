# bash completion of oci-pull. `make completions` makes it from the commands themselves.

# What oci-pull knows of the last word: names in the cache and in configurations. No request.
_oci_pull_known() {
    _oci_pull_offer "$("${words[0]/#\~\//$HOME/}" __complete "$1" \
        "${words[@]:1:count-1}" "${current#"$lead"}" 2>/dev/null)"
}

# Of some lines those that go on with what was typed. Bash replaces no more than what follows the
# last character that it breaks words at.
_oci_pull_offer() {
    local breaks=${COMP_WORDBREAKS//[^:=@]/} broken= each
    [[ -n $breaks ]] && broken=${current%"${current##*["$breaks"]}"}
    while IFS= read -r each; do
        if [[ -n $each && $lead$each == "$current"* ]]; then
            each=$lead$each
            COMPREPLY+=("${each#"$broken"}")
        fi
    done <<<"$1"
}

_oci_pull_files() {
    compopt -o filenames 2>/dev/null
    _oci_pull_offer "$(compgen "$1" -- "${current#"$lead"}")"
}

_oci_pull() {
    # References hold characters that bash breaks words at: what no space stands before goes on.
    local line=${COMP_LINE:0:COMP_POINT} before count=-1 i
    local -a words=()
    for ((i = 0; i <= COMP_CWORD; i++)); do
        before=${line%%[![:space:]]*}
        line=${line#"$before"}
        if ((i == 0)) || [[ -n $before ]]; then
            words[++count]=
        fi
        if ((i == COMP_CWORD)); then
            words[count]+=$line
        else
            words[count]+=${COMP_WORDS[i]}
            line=${line#"${COMP_WORDS[i]}"}
        fi
    done

    local current=${words[count]} command= option= ended= lead=
    for ((i = 1; i < count; i++)); do
        if [[ -n $option ]]; then
            option=
        elif [[ -z $ended ]]; then
            case $command,${words[i]} in
                *,--) ended=1 command=${command:-pull} ;;
                *,-o | *,--output | *,--cache-dir | *,--layout | *,--link-mode | *,--include | *,--exclude | *,--platform | *,--select | *,--root | *,-j | *,--jobs | *,--limit-rate | *,--retries | *,--stall-timeout | *,--connect-timeout | *,--max-wait | *,--lock-timeout | *,--timeout | *,--max-bytes | *,--config | *,--authfile | *,-u | *,--username | *,--mirror | *,--ca-file | *,--client-cert | *,--client-key | *,--proxy | *,--default-registry | *,--digest-file | *,--format | *,--progress | *,--color | *,--max-size | *,--metrics-file | *,--jitter | *,--older-than | *,--keep) option=${words[i]} ;;
                *,-*) ;;
                ,pull | ,login | ,logout | ,warm | ,plan | ,inspect | ,doctor | ,cache) command=${words[i]} ;;
                cache,*) command="cache ${words[i]}" ;;
                ,*) command=pull ;;
            esac
        fi
    done
    COMPREPLY=()
    if [[ -z $option && -z $ended && $current == --*=* ]]; then
        option=${current%%=*}
        lead=$option=
    fi
    case $option in
        -o | --output) _oci_pull_files -d; return ;;
        --cache-dir) _oci_pull_files -d; return ;;
        --layout) _oci_pull_offer $'dir\nhf'; return ;;
        --link-mode) _oci_pull_offer $'auto\nreflink\nhardlink\nsymlink\ncopy'; return ;;
        --config) _oci_pull_files -f; return ;;
        --authfile) _oci_pull_files -f; return ;;
        --ca-file) _oci_pull_files -f; return ;;
        --client-cert) _oci_pull_files -f; return ;;
        --client-key) _oci_pull_files -f; return ;;
        --default-registry) _oci_pull_known registries; return ;;
        --digest-file) _oci_pull_files -f; return ;;
        --format) _oci_pull_offer $'path\ntext\njson'; return ;;
        --progress) _oci_pull_offer $'auto\nbar\nplain\njson\nnone'; return ;;
        --color) _oci_pull_offer $'auto\nalways\nnever'; return ;;
        --metrics-file) _oci_pull_files -f; return ;;
        --keep) _oci_pull_known references; return ;;
        ?*) return ;;
    esac

    if [[ -z $ended && $current == -* ]]; then
        case $command in
            '') _oci_pull_offer $'--dry-run\n-o\n--output\n--cache-dir\n--layout\n--no-cache\n--link-mode\n--keep-archives\n--include\n--exclude\n--allow-pickle\n--datasets\n--platform\n--select\n--root\n-j\n--jobs\n--limit-rate\n--retries\n--stall-timeout\n--connect-timeout\n--max-wait\n--lock-timeout\n--timeout\n--max-bytes\n--no-space-check\n--offline\n--stale-ok\n--config\n--authfile\n-u\n--username\n--password-stdin\n--mirror\n--ca-file\n--client-cert\n--client-key\n--plain-http\n--insecure\n--proxy\n--default-registry\n--require-digest\n--digest-file\n--format\n--progress\n-q\n--quiet\n-v\n--verbose\n--color\n-h\n--help\n-V\n--version' ;;
            pull) _oci_pull_offer $'--dry-run\n-o\n--output\n--cache-dir\n--layout\n--no-cache\n--link-mode\n--keep-archives\n--include\n--exclude\n--allow-pickle\n--datasets\n--platform\n--select\n--root\n-j\n--jobs\n--limit-rate\n--retries\n--stall-timeout\n--connect-timeout\n--max-wait\n--lock-timeout\n--timeout\n--max-bytes\n--no-space-check\n--offline\n--stale-ok\n--config\n--authfile\n-u\n--username\n--password-stdin\n--mirror\n--ca-file\n--client-cert\n--client-key\n--plain-http\n--insecure\n--proxy\n--default-registry\n--require-digest\n--digest-file\n--format\n--progress\n-q\n--quiet\n-v\n--verbose\n--color\n-h\n--help' ;;
            login) _oci_pull_offer $'-u\n--username\n--password-stdin\n--authfile\n--stall-timeout\n--connect-timeout\n--ca-file\n--client-cert\n--client-key\n--plain-http\n--insecure\n--proxy\n--config\n-q\n--quiet\n-v\n--verbose\n--color\n-h\n--help' ;;
            logout) _oci_pull_offer $'--authfile\n--config\n-q\n--quiet\n--color\n-h\n--help' ;;
            warm) _oci_pull_offer $'--max-size\n--metrics-file\n--jitter\n-j\n--jobs\n--limit-rate\n--retries\n--stall-timeout\n--connect-timeout\n--max-wait\n--timeout\n--authfile\n-u\n--username\n--password-stdin\n--mirror\n--ca-file\n--client-cert\n--client-key\n--plain-http\n--insecure\n--proxy\n--default-registry\n--config\n--cache-dir\n--keep-archives\n--max-bytes\n--no-space-check\n--lock-timeout\n--require-digest\n--format\n--progress\n-q\n--quiet\n-v\n--verbose\n--color\n-h\n--help' ;;
            plan) _oci_pull_offer $'-o\n--output\n--cache-dir\n--layout\n--no-cache\n--link-mode\n--keep-archives\n--include\n--exclude\n--allow-pickle\n--datasets\n--platform\n--select\n--root\n-j\n--jobs\n--limit-rate\n--retries\n--stall-timeout\n--connect-timeout\n--max-wait\n--lock-timeout\n--timeout\n--max-bytes\n--no-space-check\n--offline\n--stale-ok\n--config\n--authfile\n-u\n--username\n--password-stdin\n--mirror\n--ca-file\n--client-cert\n--client-key\n--plain-http\n--insecure\n--proxy\n--default-registry\n--require-digest\n--digest-file\n--format\n--progress\n-q\n--quiet\n-v\n--verbose\n--color\n-h\n--help' ;;
            inspect) _oci_pull_offer $'--raw\n--platform\n--select\n-j\n--jobs\n--limit-rate\n--retries\n--stall-timeout\n--connect-timeout\n--max-wait\n--timeout\n--authfile\n-u\n--username\n--password-stdin\n--mirror\n--ca-file\n--client-cert\n--client-key\n--plain-http\n--insecure\n--proxy\n--default-registry\n--config\n--cache-dir\n--offline\n--format\n--progress\n-q\n--quiet\n-v\n--verbose\n--color\n-h\n--help' ;;
            doctor) _oci_pull_offer $'-j\n--jobs\n--limit-rate\n--retries\n--stall-timeout\n--connect-timeout\n--max-wait\n--timeout\n--authfile\n-u\n--username\n--password-stdin\n--mirror\n--ca-file\n--client-cert\n--client-key\n--plain-http\n--insecure\n--proxy\n--default-registry\n--config\n--cache-dir\n--offline\n--format\n--progress\n-q\n--quiet\n-v\n--verbose\n--color\n-h\n--help' ;;
            "cache ls") _oci_pull_offer $'--partial\n--cache-dir\n--config\n--format\n-q\n--quiet\n--color\n-h\n--help' ;;
            "cache df") _oci_pull_offer $'--cache-dir\n--config\n--format\n-q\n--quiet\n--color\n-h\n--help' ;;
            "cache rm") _oci_pull_offer $'-y\n--yes\n--cache-dir\n--config\n--format\n-q\n--quiet\n--color\n--default-registry\n-h\n--help' ;;
            "cache prune") _oci_pull_offer $'--older-than\n--max-size\n--keep\n--partials\n--dry-run\n-y\n--yes\n--cache-dir\n--config\n--format\n-q\n--quiet\n--color\n--default-registry\n-h\n--help' ;;
            "cache verify") _oci_pull_offer $'--repair\n-j\n--jobs\n--limit-rate\n--retries\n--stall-timeout\n--connect-timeout\n--max-wait\n--timeout\n--authfile\n-u\n--username\n--password-stdin\n--mirror\n--ca-file\n--client-cert\n--client-key\n--plain-http\n--insecure\n--proxy\n--default-registry\n--config\n--cache-dir\n--offline\n--format\n--progress\n-q\n--quiet\n-v\n--verbose\n--color\n-h\n--help' ;;
            "cache path") _oci_pull_offer $'--primary\n--include\n--exclude\n--allow-pickle\n--datasets\n--platform\n--select\n--root\n--cache-dir\n--default-registry\n--require-digest\n--config\n--format\n-q\n--quiet\n--color\n-h\n--help' ;;
            cache) _oci_pull_offer $'-h\n--help' ;;
        esac
        return
    fi
    case $command in
        '') _oci_pull_offer $'pull\nlogin\nlogout\nwarm\nplan\ninspect\ndoctor\ncache'; _oci_pull_known references ;;
        cache) _oci_pull_offer $'ls\ndf\nrm\nprune\nverify\npath' ;;
        pull) _oci_pull_known references ;;
        login) _oci_pull_known registries ;;
        logout) _oci_pull_known logins ;;
        warm) _oci_pull_known references; _oci_pull_files -f ;;
        plan) _oci_pull_known references ;;
        inspect) _oci_pull_known references ;;
        doctor) _oci_pull_known references,registries ;;
        "cache rm") _oci_pull_known references ;;
        "cache verify") _oci_pull_known references ;;
        "cache path") _oci_pull_known references ;;
    esac
}

complete -F _oci_pull oci-pull
