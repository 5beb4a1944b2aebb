#!/usr/bin/env bash
# Runs compose.yml, alone and with compose.cluster.yml, on a Docker engine and uses both as their reader would: `make test-compose`.
#
#   scripts/test-compose.sh [single] [cluster]      without an argument both, one after the other
#
# Each in a copy of the files, with a project name, image tags, keys and volumes of its own: builds the images, starts everything, waits
# until it is healthy, compares the rows of both databases, files a request and gets its answer, kills and restarts services, and
# stops everything within its grace periods. With the cluster also: every stream has three copies, one server is killed while rows
# arrive, and two are stopped. It takes some minutes, each step has a time limit, and nothing is left behind.
#
# Where no registry is reachable, stand-ins replace the base images: scripts/test-compose/images.sh. All of compose.yml and
# compose.cluster.yml is what ships. SLACKTIDE_TEST_IMAGES=registry or stand-in decides, else what is reachable does.
#
# The closing line is `N passed, N failed`.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

run=slacktide-test-$$
debian_release=trixie
export SLACKTIDE_TAG=$run
passed=0
form=''
step=''

report() { printf '=== %d:%02d %s\n' $((SECONDS / 60)) $((SECONDS % 60)) "$*"; }
fail() {
    printf 'test-compose: %s\n' "$*" >&2
    exit 1
}
begin() {
    step=${form:+$form: }$1
    report "$step"
}
end() {
    passed=$((passed + 1))
    step=''
}

forms=("$@")
[ $# -gt 0 ] || forms=(single cluster)
for form in "${forms[@]}"; do
    [[ $form = single || $form = cluster ]] || fail "there is no form '$form'; the forms are single and cluster. Nothing was tested"
done
form=''

timeout 20 docker version --format '{{.Server.Version}}' >/dev/null 2>&1 ||
    fail "no Docker engine answers; install Docker and start it. Nothing was tested"
if timeout 20 docker compose version >/dev/null 2>&1; then
    compose=(docker compose)
elif timeout 20 docker-compose version >/dev/null 2>&1; then
    compose=(docker-compose)
else
    fail "neither 'docker compose' nor docker-compose is installed. Nothing was tested"
fi

folder=$(mktemp -d "${TMPDIR:-/tmp}/slacktide-compose-XXXXXX")
# until_true SECONDS WHAT COMMAND...: waits for it.
until_true() {
    local limit=$((SECONDS + $1)) what=$2
    shift 2
    until "$@"; do
        [ "$SECONDS" -lt "$limit" ] || fail "$what: not within the time limit"
        sleep 1
    done
}
. "$root/scripts/test-compose/images.sh"
. "$root/scripts/test-compose/site.sh"
. "$root/scripts/test-compose/cluster.sh"

# Removes what this run made, by its own name, and shows the result.
clean_up() {
    local status=$?
    trap - EXIT INT TERM HUP
    set +e
    if [ "$status" != 0 ]; then
        echo "=== FAILED: ${step:-at its start}" >&2
        [ -z "$form" ] || show_site >&2
    fi
    [ -z "$form" ] || remove_site
    # Several times: an image is removed after those that were made from it.
    local _ image
    for _ in 1 2 3 4; do
        for image in $(own_images); do
            timeout 120 docker image rm --force "$image" >/dev/null 2>&1
        done
    done
    local left
    left=$(
        for form in single cluster; do left_of_site; done
        own_images
    )
    rm -rf "$folder"
    if [ -n "$left" ]; then
        echo "test-compose: left behind: $left" >&2
        [ "$status" != 0 ] || { status=1 && step='everything is removed'; }
    elif [ "$status" = 0 ]; then
        passed=$((passed + 1))
    fi
    report "done"
    echo "$passed passed, $([ "$status" = 0 ] && echo 0 || echo 1) failed"
    exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT TERM HUP

# Containers run as this user: that of scripts/compose-secrets.sh.
user=$(id -u):$(id -g)
[ "$(id -u)" != 0 ] || user=65532:65532

images=${SLACKTIDE_TEST_IMAGES:-$(reachable_images)}
begin "build the images ($images)"
build_images "$images"
end

for form in "${forms[@]}"; do
    make_site
    start_site
    check_privileges
    [ "$form" = single ] || check_copies
    "check_networks_of_$form"
    check_rows
    check_request
    if [ "$form" = cluster ]; then
        lose_one_server
        lose_two_servers
    fi
    kill_services
    restart_everything
    stop_site
    begin "everything is removed"
    remove_site
    left=$(left_of_site)
    [ -z "$left" ] || fail "left behind: $left"
    end
done
form=''
begin "the images are removed"
