# SPDX-License-Identifier: Apache-2.0
#
# Completion for bash. The words come from `latchkey help --words`, which reads the table of commands.

_latchkey()
{
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} words=() word group='' verb='' i
    local stores=(memory: lmdb: sqlite: postgres:// mariadb:// redis:// redis+sentinel:// redis+cluster:// file: env:)
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        [[ $word == -* ]] && break
        if [[ -z $group ]]; then group=$word; elif [[ -z $verb ]]; then verb=$word; fi
    done
    case $previous in
        --conf | --state | --to-conf | --to-pid | --jwk | --dir | --keys | --tls | --nginx | --html)
            mapfile -t COMPREPLY < <(compgen -f -- "$current")
            return ;;
        --alg) words=(HS256 ES256 RS256 EdDSA) ;;
        --carrier) words=(cookie header url) ;;
        --level) words=(all realm role client user device family session) ;;
        --reason) words=(revoked kicked banned replaced) ;;
        --kind) words=(jwt simple) ;;
        --share | --to) words=(sealed_cookie affinity database replication central token) ;;
        --ways) words=(sealed_cookie affinity affinity_ip_hash database replication central token) ;;
        --store | --accounts | --replica) words=("${stores[@]}") ;;
        *) [[ "$group $verb" == 'store copy' && $current != -* ]] && words=("${stores[@]}") ||
            mapfile -t words < <("${COMP_WORDS[0]}" help --words ${group:+"$group"} ${verb:+"$verb"} 2>/dev/null) ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "${words[*]}" -- "$current")
}
complete -F _latchkey latchkey
