#!/bin/sh
# Hands in to a challenge by `git push`, all of it on this machine and in a temporary folder: a Gradus server, a bare
# repository with a post-receive hook, a participant's clone, a tag. Prints what a participant, an organizer and an operator see.
#
#   examples/git-push.sh
#
# It needs git, and cargo to build gradus; with GRADUS=/path/to/gradus that one is taken.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
if [ -z "${GRADUS:-}" ]; then
    root=$(cd "$here/.." && pwd)
    (cd "$root" && cargo build --quiet --package gradus)
    GRADUS=$root/target/debug/gradus
    [ -z "${CARGO_TARGET_DIR:-}" ] || GRADUS=$CARGO_TARGET_DIR/debug/gradus
fi
home=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; wait; rm -rf "$home"' EXIT
trap 'exit 1' INT TERM
# Nobody's own settings.
export HOME="$home" XDG_CONFIG_HOME="$home/config" GIT_CONFIG_NOSYSTEM=1
unset GRADUS_TOKEN GRADUS_TOKEN_FILE GRADUS_SERVER GIT_DIR GIT_WORK_TREE

say() { printf '\n\033[1m%s\033[0m\n' "$1"; }
# A command as it is typed, and what it prints.
run() { printf '$ gradus %s\n' "$*"; "$GRADUS" "$@"; }

say "The operator starts a server, and lets a git server tell of tags"
"$GRADUS" serve --data "$home/data" --listen 127.0.0.1:0 > "$home/ready" 2> "$home/log" &
server=$!
for _ in $(seq 300); do
    grep -qo 'http://[^ ]*' "$home/ready" && break
    kill -0 "$server" 2>/dev/null || { cat "$home/log" >&2; exit 1; }
    sleep 0.1
done
GRADUS_SERVER=$(grep -o 'http://[0-9.:]*' "$home/ready" | head -n 1)
export GRADUS_SERVER GRADUS_TOKEN_FILE="$home/data/operator.token"
umask 077
mkdir "$home/git"
echo "$ gradus admin source add local --kind plain --base file://$home/git --private > $home/hook.secret"
"$GRADUS" admin source add local --kind plain --base "file://$home/git" --private > "$home/hook.secret"
umask 022

say "An organizer publishes a challenge that takes tags"
run challenge publish --no-check "$here/primes"

say "The git server has a repository, whose post-receive hook tells gradus"
git init --quiet --bare "$home/git/anna.git"
cat > "$home/git/anna.git/hooks/post-receive" <<HOOK
#!/bin/sh
exec "$GRADUS" post-receive local --server "$GRADUS_SERVER" --secret-file "$home/hook.secret" --root "$home/git" --pusher anna
HOOK
chmod +x "$home/git/anna.git/hooks/post-receive"
sed 's/^/    /' "$home/git/anna.git/hooks/post-receive"

say "A participant pushes tags"
git init --quiet "$home/work"
cd "$home/work"
git config user.name Anna
git config user.email anna@example.org
git remote add origin "$home/git/anna.git"
hand_in() {
    printf '{ "challenge_id": "primes", "description": "%s" }\n' "$3" > gradus.json
    cp "$here/primes/solutions/$2.csv" predictions.csv
    git add gradus.json predictions.csv
    git commit --quiet --message "$3"
    git tag --annotate "submission-$1" --message "$3"
    echo "\$ git push origin submission-$1"
    git push --quiet origin "submission-$1"
}
hand_in 1 wheel "what 2, 3 and 5 do not divide"
hand_in 2 good "trial division"
hand_in 3 missing-rows "in a hurry"
for _ in $(seq 300); do
    "$GRADUS" admin source pushes local --json > "$home/pushes"
    if ! grep -q '"waiting"' "$home/pushes"; then break; fi
    sleep 0.1
done

say "What became of them"
run admin source pushes local
for id in $(grep -o '"submission": *"[0-9A-Z]*"' "$home/pushes" | grep -o '[0-9A-Z]\{26\}'); do
    run status "$id"
done
run leaderboard primes
say "Anna reads her own with a token for who she is here: gradus admin token new --role participant local-anna"
