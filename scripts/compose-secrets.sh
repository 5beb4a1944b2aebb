#!/usr/bin/env bash
# Creates what compose.yml and compose.cluster.yml need: keys, certificates, tokens and passwords in secrets/, public keys and the
# user in .env. Existing files are not overwritten. Containers run as the user that calls this; if that is root, as an unprivileged
# user that owns the secrets. SLACKTIDE names another way to run the program than Docker. The certificates of the cluster need openssl.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
folder=${1:-.}
mkdir -p "$folder/secrets"
folder=$(cd "$folder" && pwd)
umask 077

# The tokens' file for `gateway token`, which reads the parties in config/front.toml.
export SLACKTIDE_GATEWAY__TOKENS=$folder/secrets/front/tokens.json
if [ -z "${SLACKTIDE:-}" ]; then
    docker build --quiet --target slacktide --tag slacktide . >/dev/null
    SLACKTIDE="docker run --rm --user $(id -u):$(id -g) --volume $folder:$folder --volume $PWD/config:$PWD/config:ro"
    SLACKTIDE="$SLACKTIDE --env SLACKTIDE_GATEWAY__TOKENS slacktide"
fi

# `system` is the person who removes a lost server from a cluster.
for party in admin bureau auditor insurer-a system; do
    [ -e "$folder/secrets/$party/connect.seed" ] || $SLACKTIDE keys new --out "$folder/secrets/$party" >/dev/null
done

public() {
    cat "$folder/secrets/$1"
}

# The authority and the certificate of the front; no container gets the authority's private key, which may be kept elsewhere.
if [ ! -e "$folder/secrets/authority/ca.pem" ] && [ ! -e "$folder/secrets/authority.pem" ]; then
    $SLACKTIDE keys site --out "$folder/secrets/site" --host front >/dev/null
    mv "$folder/secrets/site/authority" "$folder/secrets/authority"
    rm -r "$folder/secrets/site"
fi
[ -e "$folder/secrets/front/server.pem" ] || $SLACKTIDE keys certificate --authority "$folder/secrets/authority" \
    --name front --host front --host localhost --host 127.0.0.1 --out "$folder/secrets/front" >/dev/null
[ -e "$folder/secrets/authority.pem" ] || cp "$folder/secrets/authority/ca.pem" "$folder/secrets/authority.pem"

# The cluster's certificates: of each server, and with which the gateway and the administrator connect to the servers. One server
# alone needs none of them.
authority=$folder/secrets/authority
can_issue() {
    [ -e "$authority/ca.key" ] && command -v openssl >/dev/null && return
    echo "compose-secrets.sh: no certificate of $1 for compose.cluster.yml: it needs openssl, and the authority in $authority" >&2
    return 1
}
# A server connects to the others with its own certificate, so it must allow both usages; those of `keys certificate` allow one.
server_certificate() {
    local out=$folder/secrets/cluster/$1 part
    part=$(mktemp -d "$folder/secrets/part-XXXXXX")
    if ! {
        openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/O=Slacktide site/CN=$1" \
            -keyout "$part/server.key" -out "$part/request" &&
            printf '%s\n' "subjectAltName = DNS:$1, DNS:$1-routes" 'basicConstraints = critical, CA:FALSE' \
                'keyUsage = critical, digitalSignature' 'extendedKeyUsage = serverAuth, clientAuth' >"$part/extensions" &&
            openssl x509 -req -in "$part/request" -days 365 -extfile "$part/extensions" -out "$part/server.pem" \
                -CA "$authority/ca.pem" -CAkey "$authority/ca.key" -set_serial "0x$(openssl rand -hex 16)"
    } 2>"$part/log"; then
        cat "$part/log" >&2
        rm -r "$part"
        exit 1
    fi
    mkdir -p "$out"
    cp "$folder/secrets/authority.pem" "$out/ca.pem"
    # The folder stays: a container has it.
    mv "$part/server.key" "$part/server.pem" "$out/"
    rm -r "$part"
}
for server in n1 n2 n3; do
    [ -e "$folder/secrets/cluster/$server/server.pem" ] || ! can_issue "$server" || server_certificate "$server"
done
for client in gateway admin; do
    [ -e "$folder/secrets/cluster/$client/client.pem" ] || ! can_issue "$client" || $SLACKTIDE keys certificate \
        --authority "$authority" --name "$client" --out "$folder/secrets/cluster/$client" >/dev/null
done

# Each agent's token at the gateway. It expires in a year: remove the file, and call this again.
for party in bureau insurer-a; do
    token=$folder/secrets/$party/gateway.token
    [ -s "$token" ] || $SLACKTIDE gateway token new --party "$party" --expires 365d --note compose \
        --config "$PWD/config/front.toml" >"$token" 2>/dev/null
done

# What nats-server reads from its environment. It listens for the gateway on the same machine only.
cat >"$folder/secrets/front/server.env" <<ENV
SLACKTIDE_LISTEN='127.0.0.1:4222'
SLACKTIDE_MONITOR='127.0.0.1:8222'
SLACKTIDE_STORE='/data'
SLACKTIDE_ADMIN_NKEY='$(public admin/connect.pub)'
SLACKTIDE_BUREAU_NKEY='$(public bureau/connect.pub)'
SLACKTIDE_AUDITOR_NKEY='$(public auditor/connect.pub)'
SLACKTIDE_INSURER_A_NKEY='$(public insurer-a/connect.pub)'
ENV

password() {
    [ -s "$1" ] || head -c 24 /dev/urandom | od -An -v -tx1 | tr -d ' \n' >"$1"
}
for name in core core-reader insurer insurer-writer; do
    password "$folder/secrets/$name.password"
done
url() {
    printf 'postgres://%s:%s@%s\n' "$1" "$(cat "$folder/secrets/$2.password")" "$3"
}
# The two databases of compose.yml have no certificates, and their networks do not leave this host. For a database of
# yours elsewhere leave `sslmode=disable` out: docs/keys.md
url slacktide_reader core-reader 'core:5432/core?sslmode=disable' >"$folder/secrets/core.url"
url slacktide_writer insurer-writer 'insurer:5432/insurer?sslmode=disable' >"$folder/secrets/store.url"

user=$(id -u):$(id -g)
if [ "$(id -u)" = 0 ]; then
    user=65532:65532
    chown -R "$user" "$folder/secrets"
    # The authority stays with the user that called this.
    [ ! -e "$folder/secrets/authority" ] || chown -R 0:0 "$folder/secrets/authority"
fi

cat >"$folder/.env" <<ENV
# Made by scripts/compose-secrets.sh; no secret is in it.
SLACKTIDE_USER=$user
BUREAU_SIGN=$(public bureau/sign.pub)
INSURER_A_SIGN=$(public insurer-a/sign.pub)
# The users of the servers in compose.cluster.yml.
SYSTEM_CONNECT=$(public system/connect.pub)
ADMIN_CONNECT=$(public admin/connect.pub)
BUREAU_CONNECT=$(public bureau/connect.pub)
AUDITOR_CONNECT=$(public auditor/connect.pub)
INSURER_A_CONNECT=$(public insurer-a/connect.pub)
ENV
echo "made $folder/secrets and $folder/.env"
