# The images of scripts/test-compose.sh, which sources this file.
#
# Where no registry is reachable, stand-ins replace the base images: Debian from its own packages (debootstrap, which needs root; kept
# in .tools/stand-in), PostgreSQL from Debian's, nats-server from scripts/tools.sh. The stage that compiles the program needs
# the official Rust image and BuildKit, so the program is compiled here instead: SLACKTIDE_BIN names one that is compiled already.
# Every other line of the Dockerfile is what ships.

# The images are the same with either builder of Docker; what it prints is shown if it fails.
build() {
    local log=$folder/build.log
    timeout 5400 docker build --force-rm "$@" >"$log" 2>&1 || { tail -20 "$log" >&2; fail "docker build failed"; }
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
    # As the official image, which has the wget of busybox.
    cat >"$context/Dockerfile" <<END
FROM $run/$(base debian)
RUN apt-get update && apt-get install --yes --no-install-recommends busybox && rm -rf /var/lib/apt/lists/* \\
    && ln -s "\$(command -v busybox)" /usr/local/bin/wget
COPY nats-server /usr/local/bin/nats-server
END
    build --network host --tag "$run/$(base nats)" "$context"

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

# Prints `registry` if the base images are here or can be pulled, else `stand-in`.
reachable_images() {
    local nats
    nats=$(base nats)
    if timeout 60 docker image inspect "$nats" >/dev/null 2>&1 || timeout 120 docker pull --quiet "$nats" >/dev/null 2>&1; then
        echo registry
    else
        echo stand-in
    fi
}

# build_images KIND: those that compose.yml and compose.cluster.yml use, tagged with this run. KIND is `registry` or `stand-in`.
build_images() {
    local target tag from=()
    if [ "$1" = registry ]; then
        export REGISTRY=''
        from=(.)
    else
        build_stand_ins
        mkdir "$folder/empty"
        from=(--build-arg "REGISTRY=$REGISTRY" --file "$folder/Dockerfile" "$folder/empty")
    fi
    for target in slacktide front exchange; do
        tag=slacktide-$target
        [ "$target" != slacktide ] || tag=slacktide
        build --target "$target" --tag "$tag:$run" "${from[@]}"
    done
}
