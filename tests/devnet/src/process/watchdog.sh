# Ends the processes of the program that started it, once that program is gone in whatever way: it holds the
# other end of our standard input, which the kernel closes when it dies. One line a message:
#   run PID SIGNAL    process group PID has started; SIGNAL is how to end it
#   end PID           it has ended by itself
#   dir logs PATH     remove everything but PATH/logs at the end
#   dir none PATH     remove PATH at the end
trap '' INT TERM HUP QUIT PIPE
newline='
'
groups=
dirs=
while read -r verb first rest; do
    case $verb in
    run) groups="$groups $first:$rest" ;;
    end)
        left=
        for group in $groups; do
            [ "${group%%:*}" = "$first" ] || left="$left $group"
        done
        groups=$left
        ;;
    dir) dirs="$dirs$first $rest$newline" ;;
    esac
done

for group in $groups; do
    kill -s "${group#*:}" -- "-${group%%:*}" 2>/dev/null
done
tries=0
while [ $tries -lt 30 ]; do
    alive=
    for group in $groups; do
        kill -s 0 -- "-${group%%:*}" 2>/dev/null && alive=yes
    done
    [ "$alive" ] || break
    sleep 0.1
    tries=$((tries + 1))
done
for group in $groups; do
    kill -s KILL -- "-${group%%:*}" 2>/dev/null
done

IFS=$newline
for line in $dirs; do
    keep=${line%% *}
    dir=${line#* }
    [ -d "$dir" ] && [ ! -e "$dir/.keep" ] || continue
    if [ "$keep" = logs ]; then
        find "$dir" -mindepth 1 -maxdepth 1 ! -name logs -exec rm -rf -- {} +
        # Nothing was logged: nothing to keep.
        rmdir -- "$dir/logs" "$dir" 2>/dev/null
    else
        rm -rf -- "$dir"
    fi
done
