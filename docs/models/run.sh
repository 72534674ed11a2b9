#!/usr/bin/env bash
# Runs the scopes of docs/models/*.scopes through spin and a C compiler. It installs nothing and leaves nothing behind.
#
#   run.sh quick            the scopes of tier quick, about a minute: for CI
#   run.sh full             all of them
#   run.sh only PATTERN     those whose name matches the extended regular expression
#   run.sh trail NAME       one scope, and the steps that lead to its error
#   run.sh list             what there is
#
# Status 0: every scope passed and every mutant was red. 1: one did not. 2: wrong usage, or spin or the compiler is missing.
# A row of the table is printed for each scope. MEMLIM is the memory that a search may take, in MB (6144).
set -u
cd "$(dirname "$0")" || exit 2
here=$PWD
usage() { sed -n '2,/^set/s/^# \{0,1\}//p' "$here/run.sh" >&2; exit 2; }

what=${1-}
pattern=${2-}
case $what in
quick | full | list) [ $# -eq 1 ] || usage ;;
only | trail) [ $# -eq 2 ] || usage ;;
*) usage ;;
esac

if [ "$what" != list ]; then
	missing=
	command -v spin >/dev/null || missing="spin (Debian: apt-get install spin; https://spinroot.com)"
	command -v cc >/dev/null || missing="${missing:+$missing, }a C compiler (cc)"
	[ -z "$missing" ] || { echo "run.sh: missing: $missing. The models were not checked." >&2; exit 2; }
fi

memlim=${MEMLIM:-6144}
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
failed=0 ran=0
start=$SECONDS

# field NAME of the verifier's report.
states() { awk '/states, stored/ { print $1; exit }' out; }
depth() { sed -n 's/.*depth reached \([0-9]*\).*/\1/p' out | head -1; }
memory() { awk '/total actual memory usage/ { print $1; exit } /memory used for|memory usage/ { m = $1 } END { if (m) print m }' out | head -1; }
errors() { sed -n 's/.*errors: \([0-9]*\).*/\1/p' out | head -1; }

scope() { # name expect mode model defines...
	local name=$1 expect=$2 mode=$3 model=$4 cflags args begin verdict why=
	shift 4
	rm -rf "$work/run" && mkdir "$work/run" && cd "$work/run" || exit 2
	cp "$here/$model" model.pml
	case $mode in
	exhaustive) cflags="-DSAFETY -DNOREDUCE -DCOLLAPSE" args="-w22" ;;
	bitstate) cflags="-DSAFETY -DNOREDUCE -DBITSTATE" args="-w33 -k3" ;;
	cycles) cflags="-DNP -DNOREDUCE -DCOLLAPSE" args="-l -w22" ;;
	*) echo "run.sh: $name: no mode $mode" >&2; exit 2 ;;
	esac
	begin=$(date +%s.%N)
	# No process of these models ends by itself: what is left when nothing moves is judged by a monitor, not by -E's end states.
	if ! spin -a "$@" model.pml >out 2>&1; then
		why="spin: $(tail -1 out)"
	elif ! cc -O1 -w $cflags -DMEMLIM="$memlim" -o pan pan.c >out 2>&1; then
		why="cc: $(tail -1 out)"
	else
		./pan -E -m1000000 $args >out 2>&1
		if grep -qE 'out of memory|max search depth too small|memory limit|VECTORSZ' out; then
			why="the search was not completed"
		elif [ -z "$(errors)" ]; then
			why="$(tail -1 out)"
		fi
	fi
	if [ -n "$why" ]; then
		verdict="FAILED ($why)" failed=$((failed + 1))
	elif [ "$(errors)" = 0 ] && [ "$expect" = pass ]; then
		verdict=pass
	elif [ "$(errors)" = 0 ]; then
		verdict="FAILED (the mutant is green)" failed=$((failed + 1))
	elif [ "$expect" = red ]; then
		verdict=red
	else
		verdict="FAILED ($(grep -m1 '^pan:1:' out | cut -c8-90))" failed=$((failed + 1))
	fi
	ran=$((ran + 1))
	printf '| %-24s | %-10s | %11s | %6s | %7s | %6.1f | %s |\n' "$name" "$mode" "$(states)" "$(depth)" "$(memory | cut -d. -f1)" \
		"$(echo "$(date +%s.%N) $begin" | awk '{ print $1 - $2 }')" "$verdict"
	if [ "$what" = trail ] && [ -f model.pml.trail ]; then
		grep -m1 '^pan:1:' out
		spin -t -p -g "$@" model.pml | grep -vE '^\s*(Never|spin: warning)'
	fi
	cd "$here" || exit 2
}

row='| %-24s | %-10s | %11s | %6s | %7s | %6s | %s |\n'
# shellcheck disable=SC2059
[ "$what" = list ] || { printf "$row" scope mode states depth MB s result; echo '|---|---|--:|--:|--:|--:|---|'; }
for file in *.scopes; do
	while read -r name tier expect mode model defines; do
		case $name in '' | '#'*) continue ;; esac
		case $what in
		list) printf '%-24s %-6s %-5s %-11s %s %s\n' "$name" "$tier" "$expect" "$mode" "$model" "$defines"; continue ;;
		quick) [ "$tier" = quick ] || continue ;;
		only) [[ $name =~ $pattern ]] || continue ;;
		trail) [ "$name" = "$pattern" ] || continue ;;
		esac
		# shellcheck disable=SC2086
		scope "$name" "$expect" "$mode" "$model" $defines </dev/null
	done <"$file"
done
[ "$what" = list ] && exit 0
[ $ran -gt 0 ] || { echo "run.sh: no such scope: $pattern" >&2; exit 2; }
echo
echo "$ran scopes in $((SECONDS - start)) s, $failed failed"
[ $failed -eq 0 ]
