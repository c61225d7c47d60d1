# complete.zsh SCRIPT LINE: prints the words that zsh would offer for the line, with the completions of
# the script. Completion works in a terminal only, so a second shell gets one, and the line typed.
zmodload zsh/zpty zsh/zselect
setopt no_monitor

here=$(mktemp -d)
cat >$here/setup <<-'END'
	PS1= PS2= RPS1=
	autoload -U compinit && compinit -u -D
	zstyle ':completion:*' menu no
	unsetopt always_last_prompt
	LISTMAX=0
	# What is to be offered is noted; what completion asks itself is left alone.
	compadd() {
		local -a words
		if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)* ]]; then
			builtin compadd "$@"
			return
		fi
		builtin compadd -A words "$@"
		print -rl -- $words >>$here/words
		builtin compadd "$@"
	}
	finished() { : >$here/finished }
	comppostfuncs=(finished)
	bindkey '^I' complete-word
END
print -r -- "here=${(q)here}" >$here/start
cat $here/setup >>$here/start
print -r -- "source ${(q)1}; compdef _${2%% *} ${2%% *}; : >$here/ready" >>$here/start

# wait_for FILE: 20 seconds at most, in which what the terminal shows is read and forgotten
wait_for() {
	repeat 2000; do
		[[ -e $here/$1 ]] && return
		zpty -rt terminal shown
		zselect -t 1
	done
	print -u2 "complete.zsh: no $1"
	exit 1
}

zpty -b terminal zsh -f -i
zpty -w terminal "source ${(q)here}/start"
wait_for ready
zpty -nw terminal $2$'\t'
wait_for finished
zpty -d terminal
[[ ! -e $here/words ]] || sort -u $here/words
rm -rf $here
