# fish completion of oci-pull. `make completions` makes it from the commands themselves.

# What oci-pull knows of the last word: names in the cache and in configurations. No request.
function __oci_pull_known
    set -l words (commandline -opc)
    set -l program $words[1]
    set -e words[1]
    set -l typed (string replace -r '^--[a-z-]+=' '' -- (commandline -ct))
    command $program __complete $argv[1] $words "$typed" 2>/dev/null
end

# Whether the command of the line is one of these; `first` is the place where it would be.
function __oci_pull_in
    set -l found first
    set -l skip
    set -l words (commandline -opc)
    set -e words[1]
    for word in $words
        if set -q skip[1]
            set -e skip
            continue
        end
        switch "$word"
            case --
                test "$found" = first; and set found pull
                break
            case -o --output --cache-dir --layout --link-mode --include --exclude --platform --select --root -j --jobs --limit-rate --retries --stall-timeout --connect-timeout --max-wait --lock-timeout --timeout --max-bytes --config --authfile -u --username --mirror --ca-file --client-cert --client-key --proxy --default-registry --digest-file --format --progress --color --max-size --metrics-file --jitter --older-than --keep
                set skip 1
            case '-*'
            case '*'
                switch $found
                    case first
                        set found pull
                        contains -- $word pull login logout warm plan inspect doctor cache; and set found $word
                    case cache
                        set found "cache $word"
                end
        end
    end
    contains -- "$found" $argv
end

complete -c oci-pull -f
complete -c oci-pull -n '__oci_pull_in first' -a cache -d 'what is in the cache'
complete -c oci-pull -n '__oci_pull_in cache' -a ls -d 'List the models, what was used last first'
complete -c oci-pull -n '__oci_pull_in cache' -a df -d 'Say what the cache takes on disk'
complete -c oci-pull -n '__oci_pull_in cache' -a rm -d 'Remove models, and what nothing else needs'
complete -c oci-pull -n '__oci_pull_in cache' -a prune -d 'Remove what was not used for the longest; without a limit, what no model needs'
complete -c oci-pull -n '__oci_pull_in cache' -a verify -d 'Read everything again, and say what is not what it should be'
complete -c oci-pull -n '__oci_pull_in cache' -a path -d 'Print the directory of a model that is complete in the cache, without any request'
complete -c oci-pull -n '__oci_pull_in first' -a pull -d 'Fetch, verify and lay out models; print the directory of each'
complete -c oci-pull -n '__oci_pull_in first' -a login -d 'Keep a credential for a registry, once the registry has taken it'
complete -c oci-pull -n '__oci_pull_in first' -a logout -d 'Forget the credential of a registry'
complete -c oci-pull -n '__oci_pull_in first' -a warm -d 'Fetch many models into the cache; one that fails stops none of the others'
complete -c oci-pull -n '__oci_pull_in first' -a plan -d 'Say what a pull would fetch, reuse and leave out; nothing is written'
complete -c oci-pull -n '__oci_pull_in first' -a inspect -d 'Say what is at a reference'
complete -c oci-pull -n '__oci_pull_in first' -a doctor -d 'Say what a pull would use and from where, and how far it would come'
complete -c oci-pull -n '__oci_pull_in first' -s V -l version -d 'say the version'
complete -c oci-pull -n '__oci_pull_in first pull' -l dry-run -d 'say what would be done, and do nothing'
complete -c oci-pull -n '__oci_pull_in first pull plan' -s o -l output -x -a '(__fish_complete_directories)' -d 'lay the model out here'
complete -c oci-pull -n '__oci_pull_in first pull warm plan inspect doctor "cache ls" "cache df" "cache rm" "cache prune" "cache verify" "cache path"' -l cache-dir -x -a '(__fish_complete_directories)' -d 'the cache'
complete -c oci-pull -n '__oci_pull_in first pull plan' -l layout -x -a 'dir hf' -d 'dir, or hf: the Hugging Face hub cache'
complete -c oci-pull -n '__oci_pull_in first pull plan' -l no-cache -d 'with -o: one copy there, and nothing in the cache'
complete -c oci-pull -n '__oci_pull_in first pull plan' -l link-mode -x -a 'auto reflink hardlink symlink copy' -d 'weights: auto, reflink, hardlink, symlink or copy'
complete -c oci-pull -n '__oci_pull_in first pull warm plan' -l keep-archives -d 'keep large archives beside the files in them'
complete -c oci-pull -n '__oci_pull_in first pull plan "cache path"' -l include -x -d 'only files whose path matches'
complete -c oci-pull -n '__oci_pull_in first pull plan "cache path"' -l exclude -x -d 'no file whose path matches'
complete -c oci-pull -n '__oci_pull_in first pull plan "cache path"' -l allow-pickle -d 'take pickles, which can run code'
complete -c oci-pull -n '__oci_pull_in first pull plan "cache path"' -l datasets -d 'take datasets as well'
complete -c oci-pull -n '__oci_pull_in first pull plan inspect "cache path"' -l platform -x -d 'of an index, the manifest for it; also /VARIANT'
complete -c oci-pull -n '__oci_pull_in first pull plan inspect "cache path"' -l select -x -d 'of an index, the variant so marked'
complete -c oci-pull -n '__oci_pull_in first pull plan "cache path"' -l root -x -d 'the directory that is the model'
complete -c oci-pull -n '__oci_pull_in first pull warm plan inspect doctor "cache verify"' -s j -l jobs -x -d 'connections in all'
complete -c oci-pull -n '__oci_pull_in first pull warm plan inspect doctor "cache verify"' -l limit-rate -x -d 'bytes a second over all connections, as 50M'
complete -c oci-pull -n '__oci_pull_in first pull warm plan inspect doctor "cache verify"' -l retries -x -d 'tries without progress'
complete -c oci-pull -n '__oci_pull_in first pull login warm plan inspect doctor "cache verify"' -l stall-timeout -x -d 'the longest silence of a server'
complete -c oci-pull -n '__oci_pull_in first pull login warm plan inspect doctor "cache verify"' -l connect-timeout -x -d 'the longest wait for a connection'
complete -c oci-pull -n '__oci_pull_in first pull warm plan inspect doctor "cache verify"' -l max-wait -x -d 'the longest that a rate limit is waited out'
complete -c oci-pull -n '__oci_pull_in first pull warm plan' -l lock-timeout -x -d 'the longest wait for another oci-pull'
complete -c oci-pull -n '__oci_pull_in first pull warm plan inspect doctor "cache verify"' -l timeout -x -d 'the longest that the whole pull may take'
complete -c oci-pull -n '__oci_pull_in first pull warm plan' -l max-bytes -x -d 'write no more than this, as under a quota'
complete -c oci-pull -n '__oci_pull_in first pull warm plan' -l no-space-check -d 'do not ask whether there is room'
complete -c oci-pull -n '__oci_pull_in first pull plan inspect doctor "cache verify"' -l offline -d 'use what is cached, ask nobody'
complete -c oci-pull -n '__oci_pull_in first pull plan' -l stale-ok -d 'take what is cached where nobody answers'
complete -c oci-pull -n '__oci_pull_in first pull login logout warm plan inspect doctor "cache ls" "cache df" "cache rm" "cache prune" "cache verify" "cache path"' -l config -r -F -d 'settings, instead of the usual files'
complete -c oci-pull -n '__oci_pull_in first pull login logout warm plan inspect doctor "cache verify"' -l authfile -r -F -d 'credentials, as docker or podman keep them'
complete -c oci-pull -n '__oci_pull_in first pull login warm plan inspect doctor "cache verify"' -s u -l username -x -d 'log in as this user'
complete -c oci-pull -n '__oci_pull_in first pull login warm plan inspect doctor "cache verify"' -l password-stdin -d 'read the password from stdin'
complete -c oci-pull -n '__oci_pull_in first pull warm plan inspect doctor "cache verify"' -l mirror -x -d 'ask this one first'
complete -c oci-pull -n '__oci_pull_in first pull login warm plan inspect doctor "cache verify"' -l ca-file -r -F -d 'believe these authorities as well'
complete -c oci-pull -n '__oci_pull_in first pull login warm plan inspect doctor "cache verify"' -l client-cert -r -F -d 'the certificate to show to the registry'
complete -c oci-pull -n '__oci_pull_in first pull login warm plan inspect doctor "cache verify"' -l client-key -r -F -d 'its key, where it is not in the same file'
complete -c oci-pull -n '__oci_pull_in first pull login warm plan inspect doctor "cache verify"' -l plain-http -d 'speak http, not https'
complete -c oci-pull -n '__oci_pull_in first pull login warm plan inspect doctor "cache verify"' -l insecure -d 'do not verify the registry\'s certificate'
complete -c oci-pull -n '__oci_pull_in first pull login warm plan inspect doctor "cache verify"' -l proxy -x -d 'reach everything through this'
complete -c oci-pull -n '__oci_pull_in first pull warm plan inspect doctor "cache rm" "cache prune" "cache verify" "cache path"' -l default-registry -x -a '(__oci_pull_known registries)' -d 'where a name without a host is'
complete -c oci-pull -n '__oci_pull_in first pull warm plan "cache path"' -l require-digest -d 'refuse a tag without a digest'
complete -c oci-pull -n '__oci_pull_in first pull plan' -l digest-file -r -F -d 'write REFERENCE@DIGEST there, to pull that again'
complete -c oci-pull -n '__oci_pull_in first pull warm plan inspect doctor "cache ls" "cache df" "cache rm" "cache prune" "cache verify" "cache path"' -l format -x -a 'path text json' -d 'stdout: path, text or json'
complete -c oci-pull -n '__oci_pull_in first pull warm plan inspect doctor "cache verify"' -l progress -x -a 'auto bar plain json none' -d 'stderr: auto, bar, plain, json or none'
complete -c oci-pull -n '__oci_pull_in first pull login logout warm plan inspect doctor "cache ls" "cache df" "cache rm" "cache prune" "cache verify" "cache path"' -s q -l quiet -d 'nothing but errors'
complete -c oci-pull -n '__oci_pull_in first pull login warm plan inspect doctor "cache verify"' -s v -l verbose -d 'requests too; -vv: their headers'
complete -c oci-pull -n '__oci_pull_in first pull login logout warm plan inspect doctor "cache ls" "cache df" "cache rm" "cache prune" "cache verify" "cache path"' -l color -x -a 'auto always never' -d 'colours: auto, always or never'
complete -c oci-pull -n '__oci_pull_in first pull login logout warm plan inspect doctor "cache ls" "cache df" "cache rm" "cache prune" "cache verify" "cache path" cache' -s h -l help -d 'say what it does and takes'
complete -c oci-pull -n '__oci_pull_in warm' -l max-size -x -d 'prune the cache to this afterwards'
complete -c oci-pull -n '__oci_pull_in warm' -l metrics-file -r -F -d 'what came of it, for Prometheus'
complete -c oci-pull -n '__oci_pull_in warm' -l jitter -x -d 'begin at random within this time'
complete -c oci-pull -n '__oci_pull_in inspect' -l raw -d 'the manifest\'s own bytes, and nothing else'
complete -c oci-pull -n '__oci_pull_in "cache ls"' -l partial -d 'unfinished downloads instead'
complete -c oci-pull -n '__oci_pull_in "cache rm" "cache prune"' -s y -l yes -d 'do not ask'
complete -c oci-pull -n '__oci_pull_in "cache prune"' -l older-than -x -d 'what was not used for so long, as 30d'
complete -c oci-pull -n '__oci_pull_in "cache prune"' -l max-size -x -d 'until no more than this is left, as 500G'
complete -c oci-pull -n '__oci_pull_in "cache prune"' -l keep -x -a '(__oci_pull_known references)' -d 'never this one (repeatable)'
complete -c oci-pull -n '__oci_pull_in "cache prune"' -l partials -d 'unfinished downloads too'
complete -c oci-pull -n '__oci_pull_in "cache prune"' -l dry-run -d 'say what would go'
complete -c oci-pull -n '__oci_pull_in "cache verify"' -l repair -d 'mend what is damaged, fetch what is missing'
complete -c oci-pull -n '__oci_pull_in "cache path"' -l primary -d 'the one file to hand to the engine (GGUF)'
complete -c oci-pull -n '__oci_pull_in first pull' -a '(__oci_pull_known references)'
complete -c oci-pull -n '__oci_pull_in login' -a '(__oci_pull_known registries)'
complete -c oci-pull -n '__oci_pull_in logout' -a '(__oci_pull_known logins)'
complete -c oci-pull -n '__oci_pull_in warm' -F -a '(__oci_pull_known references)'
complete -c oci-pull -n '__oci_pull_in plan' -a '(__oci_pull_known references)'
complete -c oci-pull -n '__oci_pull_in inspect' -a '(__oci_pull_known references)'
complete -c oci-pull -n '__oci_pull_in doctor' -a '(__oci_pull_known references,registries)'
complete -c oci-pull -n '__oci_pull_in "cache rm"' -a '(__oci_pull_known references)'
complete -c oci-pull -n '__oci_pull_in "cache verify"' -a '(__oci_pull_known references)'
complete -c oci-pull -n '__oci_pull_in "cache path"' -a '(__oci_pull_known references)'
