#!/usr/bin/env bash
# Runs compose.yml on a Docker engine and uses it as its reader would: `make test-compose`.
#
# In a copy of the files, with a project name, image tags, keys and volumes of its own: builds the images, starts everything, waits
# until it is healthy, compares the rows of both databases, files a request and gets its answer, kills and restarts services, and
# stops everything within its grace periods. It takes some minutes, each step has a time limit, and nothing is left behind.
#
# Where no registry is reachable, stand-ins replace the base images: Debian from its own packages (debootstrap, which needs root; kept
# in .tools/stand-in), PostgreSQL from Debian's, nats-server from scripts/tools.sh. The stage that compiles the program needs
# the official Rust image and BuildKit, so the program is compiled here instead: SLACKTIDE_BIN names one that is compiled already.
# Every other line of the Dockerfile, and all of compose.yml, is what ships. SLACKTIDE_TEST_IMAGES=registry or stand-in decides, else
# what is reachable does.
#
# The closing line is `N passed, N failed`.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

run=slacktide-test-$$
debian_release=trixie
export SLACKTIDE_TAG=$run COMPOSE_PROJECT_NAME=$run
passed=0
step=''

# The images are the same with either builder of Docker; what it prints is shown if it fails.
build() {
    local log=$folder/build.log
    timeout 5400 docker build --force-rm "$@" >"$log" 2>&1 || { tail -20 "$log" >&2; fail "docker build failed"; }
}
report() { printf '=== %d:%02d %s\n' $((SECONDS / 60)) $((SECONDS % 60)) "$*"; }
fail() {
    printf 'test-compose: %s\n' "$*" >&2
    exit 1
}
begin() {
    step=$1
    report "$step"
}
end() {
    passed=$((passed + 1))
    step=''
}

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
compose() {
    local seconds=$1
    shift
    (cd "$folder" && timeout "$seconds" "${compose[@]}" --file compose.yml --file test.yml "$@" </dev/null)
}

# The images of this run: by their names, and unnamed ones that a failed build made from them.
own_images() {
    local named id
    named=$(timeout 60 docker image ls --quiet --filter "reference=$run/*" --filter "reference=*:$run" | sort -u)
    for id in $(timeout 60 docker image ls --quiet --filter dangling=true); do
        for parent in $(timeout 60 docker history --quiet "$id"); do
            ! grep -qxF "$parent" <<<"$named" || { echo "$id" && break; }
        done
    done
    echo "$named"
}

# Removes what this run made, by its own name, and shows the result.
clean_up() {
    local status=$?
    trap - EXIT INT TERM HUP
    set +e
    if [ "$status" != 0 ]; then
        echo "=== FAILED: ${step:-at its start}" >&2
        [ -e "$folder/test.yml" ] && compose 30 ps >&2 && compose 30 logs --tail 30 >&2
    fi
    [ -e "$folder/test.yml" ] && compose 200 down --volumes --timeout 10 >/dev/null 2>&1
    # Several times: an image is removed after those that were made from it.
    local _ image
    for _ in 1 2 3 4; do
        for image in $(own_images); do
            timeout 120 docker image rm --force "$image" >/dev/null 2>&1
        done
    done
    local left
    left=$(
        docker ps --all --quiet --filter "label=com.docker.compose.project=$run"
        docker network ls --quiet --filter "label=com.docker.compose.project=$run"
        docker volume ls --quiet --filter "label=com.docker.compose.project=$run"
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

# until_true SECONDS WHAT COMMAND...: waits for it.
until_true() {
    local limit=$((SECONDS + $1)) what=$2
    shift 2
    until "$@"; do
        [ "$SECONDS" -lt "$limit" ] || fail "$what: not within the time limit"
        sleep 1
    done
}

# --- images ---------------------------------------------------------------------------------------------------------

images=${SLACKTIDE_TEST_IMAGES:-}
if [ -z "$images" ]; then
    nats=$(sed -n 's/^FROM ${REGISTRY}\(nats:[^ ]*\).*/\1/p' Dockerfile)
    images=stand-in
    if timeout 60 docker image inspect "$nats" >/dev/null 2>&1 || timeout 120 docker pull --quiet "$nats" >/dev/null 2>&1; then
        images=registry
    fi
fi

# The root of a small Debian.
debian_archive() {
    local archive=$root/.tools/stand-in/debian-$debian_release.tar
    if [ ! -s "$archive" ]; then
        [ "$(id -u)" = 0 ] || fail "no registry is reachable, and stand-ins for its images need root: run this as root"
        command -v debootstrap >/dev/null || timeout 300 apt-get install --quiet --yes debootstrap >/dev/null 2>&1 ||
            fail "no registry is reachable, and debootstrap is missing for stand-ins of its images: apt-get install debootstrap"
        mkdir -p "${archive%/*}"
        timeout 900 debootstrap --variant=minbase "$debian_release" "$folder/debian" >"$folder/debootstrap.log" ||
            { tail -5 "$folder/debootstrap.log" >&2; fail "debootstrap failed"; }
        tar -C "$folder/debian" -c . >"$archive.part"
        mv "$archive.part" "$archive"
        rm -rf "$folder/debian"
    fi
    printf '%s\n' "$archive"
}

# base NAME: the name with which Dockerfile or compose.yml use a base image.
base() {
    sed -n 's/.*${REGISTRY[^}]*}\('"$1"':[^ ]*\).*/\1/p' Dockerfile compose.yml | head -n 1
}

build_stand_ins() {
    scripts/tools.sh
    local program=${SLACKTIDE_BIN:-}
    if [ -z "$program" ]; then
        "${CARGO:-cargo}" build --workspace --bins --locked
        program=${CARGO_TARGET_DIR:-target}/debug/slacktide
    fi
    local archive context=$folder/context uid=${user%:*}
    archive=$(debian_archive)
    mkdir -p "$context"
    timeout 300 docker import "$archive" "$run/$(base debian)" >/dev/null

    # The stage `build` of the Dockerfile as an image: the program and the CA certificates.
    install -m 755 "$program" "$context/slacktide"
    install -m 755 "$root/.tools/bin/nats-server" "$context/nats-server"
    install -D -m 644 /etc/ssl/certs/ca-certificates.crt "$context/ca-certificates.crt" ||
        fail "this machine has no CA certificates: apt-get install ca-certificates"
    printf 'FROM %s\nCOPY slacktide /usr/local/bin/slacktide\nCOPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt\n' \
        "$run/$(base debian)" |
        build --tag "$run/program:1" --file - "$context"
    printf 'FROM %s\nCOPY nats-server /usr/local/bin/nats-server\n' "$run/$(base debian)" |
        build --tag "$run/$(base nats)" --file - "$context"

    # As the official image: any user, passwords from files, /docker-entrypoint-initdb.d once. `initdb` wants its user in /etc/passwd.
    cat >"$context/entrypoint" <<'END'
#!/bin/bash
set -euo pipefail
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    mkdir -p "$PGDATA" && chmod 700 "$PGDATA"
    initdb --username postgres --pwfile "$POSTGRES_PASSWORD_FILE" --auth-host scram-sha-256 --auth-local trust
    echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
    pg_ctl --wait --options "-c listen_addresses=''" start
    psql --no-psqlrc --username postgres --set ON_ERROR_STOP=1 --command "CREATE DATABASE $POSTGRES_DB"
    for file in /docker-entrypoint-initdb.d/*.sql; do
        psql --no-psqlrc --username postgres --set ON_ERROR_STOP=1 --dbname "$POSTGRES_DB" --file "$file"
    done
    pg_ctl --wait --mode fast stop
fi
exec postgres -c "listen_addresses=*"
END
    chmod 755 "$context/entrypoint"
    cat >"$context/Dockerfile" <<END
FROM $run/$(base debian)
RUN apt-get update && apt-get install --yes --no-install-recommends postgresql && rm -rf /var/lib/apt/lists/* \\
    && ln -s /usr/lib/postgresql/*/bin /opt/postgresql \\
    && rm -rf /var/lib/postgresql && mkdir -m 1777 /var/lib/postgresql /docker-entrypoint-initdb.d \\
    && chmod 3777 /var/run/postgresql \\
    && echo "container:x:$uid:$uid::/nonexistent:/bin/false" >>/etc/passwd
COPY entrypoint /usr/local/bin/entrypoint
ENV PATH=/opt/postgresql:/usr/local/bin:/usr/bin:/bin PGDATA=/var/lib/postgresql/18/docker
VOLUME /var/lib/postgresql
STOPSIGNAL SIGINT
ENTRYPOINT ["entrypoint"]
END
    build --network host --tag "$run/$(base postgres)" "$context"

    # The Dockerfile that ships, with that image in place of its first stage.
    awk '/^FROM .* AS build$/ { print "FROM ${REGISTRY}program:1 AS build"; skip = 1; next }
         /^FROM / { skip = 0 }
         !skip' Dockerfile >"$folder/Dockerfile"
    rm -rf "$context"
    export REGISTRY=$run/
}

# Containers run as this user: that of scripts/compose-secrets.sh.
user=$(id -u):$(id -g)
[ "$(id -u)" != 0 ] || user=65532:65532

begin "build the images ($images)"
cp -r compose.yml config nats scripts "$folder/"
if [ "$images" = registry ]; then
    export REGISTRY=''
    for target in slacktide front; do
        tag=${target/front/slacktide-front}
        build --target "$target" --tag "$tag:$run" .
    done
else
    build_stand_ins
    mkdir "$folder/empty"
    for target in slacktide front; do
        tag=${target/front/slacktide-front}
        build --build-arg "REGISTRY=$REGISTRY" --target "$target" --tag "$tag:$run" \
            --file "$folder/Dockerfile" "$folder/empty"
    done
fi
end

# --- a site ---------------------------------------------------------------------------------------------------------

begin "make keys, certificates, tokens and passwords"
for time in first second; do
    SLACKTIDE="timeout 60 docker run --rm --network none --user $(id -u):$(id -g) --volume $folder:$folder \
        --env SLACKTIDE_GATEWAY__TOKENS slacktide:$run" timeout 600 "$folder/scripts/compose-secrets.sh" >/dev/null
    sums=$(cd "$folder" && find secrets -type f -exec sha256sum {} + | sort)
    [ "$time" = first ] || [ "$sums" = "$before" ] || fail "a second call of compose-secrets.sh changed a secret"
    before=$sums
done
open=$(find "$folder/secrets" -regex '.*\.\(seed\|key\|token\|password\|url\|json\|env\)' -perm /077 | head -n 1)
[ -z "$open" ] || fail "$open is readable by other users"
# What a test needs: whether this machine is idle is not under test, and a kind of request over the table of config/compose/core.sql.
cat >"$folder/test.yml" <<'END'
services:
  social:
    environment:
      SLACKTIDE_GATE__MODE: open
END
cat >>"$folder/config/social.toml" <<'END'

[[kind]]
name = "setl.by_person"
sql = "SELECT setl_id, psn_no, medfee_sumamt FROM setl WHERE psn_no = $1"
arguments = [{ name = "psn_no", type = "text", max = 30, person = true }]
order = ["setl_id"]
money = ["medfee_sumamt"]
person = ["psn_no"]
feeds = ["setl"]
max_rows = 1000

[[kind.grant]]
recipient = "insurer-a"
purposes = { "01" = ["01"] }
columns = ["setl_id", "medfee_sumamt"]
END
end

# --- it runs --------------------------------------------------------------------------------------------------------

containers() { compose 30 ps --quiet "$@"; }
state() { timeout 30 docker inspect --format "$1" "$2"; }
all_healthy() {
    local id
    for id in $(containers front social commercial core insurer); do
        [ "$(state '{{.State.Health.Status}}' "$id")" = healthy ] || return 1
    done
}
sql() { compose 60 exec -T "$1" psql --no-psqlrc --username postgres --dbname "$1" --no-align --tuples-only --command "$2"; }
rows='SELECT count(*), md5(string_agg(concat_ws(chr(31), setl_id, psn_no, medfee_sumamt, fund_pay_sumamt), chr(30)
    ORDER BY setl_id COLLATE "C")) FROM setl'
# equal COUNT: both databases have the same rows, so many.
equal() {
    local stored
    stored=$(sql insurer "$rows" 2>/dev/null) || return 1
    [ "${stored%%|*}" = "$1" ] && [ "$stored" = "$(sql core "$rows")" ]
}
insert() {
    sql core "INSERT INTO setl SELECT 'N' || g, 'M' || g, 'P' || g % 1000, g / 100.0, g / 200.0, now(), now()
        FROM generate_series($1, $2) g" >/dev/null
}

begin "start everything, in its order, until it is healthy"
compose 300 up --detach --no-build --scale commercial=2 >/dev/null 2>"$folder/up.log" || { cat "$folder/up.log" >&2; fail "up failed"; }
until_true 180 "every service is healthy" all_healthy
[ "$(containers commercial | wc -l)" = 2 ] || fail "there are not two pollers"
[ "$(state '{{.State.Status}} {{.State.ExitCode}}' "$(compose 30 ps --all --quiet apply 2>/dev/null || containers apply)")" = "exited 0" ] ||
    fail "apply did not succeed"
end

begin "no container has root, privileges, capabilities, a writable root or a published port"
for id in $(containers); do
    found=$(state '{{.Config.User}} {{.HostConfig.Privileged}} {{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}} {{len .HostConfig.PortBindings}}' "$id")
    [ "$found" = "$user false true [ALL] [no-new-privileges:true] 0" ] || fail "$(state '{{.Name}}' "$id"): $found"
done
end

begin "only the gateway is reachable at the front, and no database from it"
# reaches SERVICE HOST PORT
reaches() { compose 30 exec -T "$1" timeout 5 bash -c "exec 3<>/dev/tcp/$2/$3" >/dev/null 2>&1; }
reaches social front 8443 || fail "the bureau's agent does not reach the gateway"
reaches commercial front 8443 || fail "the insurer's agent does not reach the gateway"
for from in social commercial; do
    for port in 4222 8222 9104; do
        ! reaches "$from" front "$port" || fail "$from reaches port $port of the front"
    done
done
! reaches front core 5432 || fail "the front reaches the core"
! reaches commercial core 5432 || fail "the insurer's agent reaches the core"
! reaches social insurer 5432 || fail "the bureau's agent reaches the insurer's database"
end

begin "every row of the core arrives"
until_true 180 "20000 rows are stored" equal 20000
insert 1 500
until_true 60 "20500 equal rows are stored" equal 20500
end

begin "a request is answered"
request() { compose 60 exec -T --index 1 commercial slacktide request "$@" --config /etc/slacktide/commercial.toml; }
file_request() {
    request file --kind setl.by_person --arg "psn_no=$1" --purpose 01 --basis 01 --key "$2" --actor tester 2>"$folder/request.log" |
        sed -n 's/.*\([0-9]\{8\}-[0-9a-z]\{8,32\}\).*/\1/p' | head -n 1
}
# answered ID COUNT: the answer has so many rows, and they are the core's.
answered() { [ "$(request result "$1" --format csv 2>"$folder/request.log" | tail -n +2 | tr -d '\r' | sort)" = "$2" ]; }
expected() { sql core "SELECT setl_id || ',' || medfee_sumamt FROM setl WHERE psn_no = '$1'" | sort; }
id=$(file_request P17 first)
[ -n "$id" ] || { cat "$folder/request.log" >&2; fail "the request was not filed"; }
until_true 60 "request $id is answered" answered "$id" "$(expected P17)"
end

begin "nothing is lost when services are killed"
for victim in front social commercial; do
    # Not by the engine, whose kill counts as a stop: nats-server alone, then each container.
    if [ "$victim" = front ]; then
        compose 30 exec -T front bash -c \
            'for at in /proc/[0-9]*; do [ "$(<$at/comm)" != nats-server ] || kill -KILL "${at#/proc/}"; done'
    fi
    insert "$((next = ${next:-501}))" "$((next + 499))"
    next=$((next + 500))
    compose 60 kill -s KILL "$victim" >/dev/null 2>&1
    compose 120 up --detach --no-build --no-recreate --scale commercial=2 >/dev/null 2>&1
done
until_true 180 "22000 equal rows are stored" equal 22000
until_true 180 "every service is healthy again" all_healthy
id=$(file_request P18 second)
answer=$(expected P18)
until_true 60 "request $id is answered" answered "$id" "$answer"
end

begin "a restart of every container keeps everything"
compose 200 restart --timeout 45 >/dev/null 2>&1
insert 2001 2500
until_true 180 "22500 equal rows are stored" equal 22500
until_true 180 "every service is healthy again" all_healthy
until_true 60 "the answer is still there" answered "$id" "$answer"
end


begin "everything stops in order, within its grace period"
ids=$(containers front social commercial core insurer)
compose 200 stop >/dev/null 2>&1
for id in $ids; do
    found=$(state '{{.State.Status}} {{.State.ExitCode}} {{.State.OOMKilled}}' "$id")
    [ "$found" = "exited 0 false" ] || fail "$(state '{{.Name}}' "$id"): $found"
done
end

begin "everything is removed"
