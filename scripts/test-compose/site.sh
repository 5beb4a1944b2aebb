# A site of scripts/test-compose.sh, which sources this file: the steps that one server and a cluster share. `form` names the site.

# project: sets the name of the site's project and its folder.
project() {
    site=$folder/$form
    export COMPOSE_PROJECT_NAME=$run-$form
    files=(--file compose.yml)
    services=(front social commercial core insurer)
    if [ "$form" = cluster ]; then
        files+=(--file compose.cluster.yml)
        services+=(n1 n2 n3)
    fi
    files+=(--file test.yml)
}
# compose SECONDS ARGUMENT...
compose() {
    local seconds=$1
    shift
    (cd "$site" && timeout "$seconds" "${compose[@]}" "${files[@]}" "$@" </dev/null)
}
# The containers of services that exist, running or not.
containers() { compose 30 ps --all --quiet "$@"; }
state() { timeout 30 docker inspect --format "$1" "$2"; }
state_of() { state "$1" "$(containers "$2" | head -n 1)"; }

show_site() {
    [ ! -e "$site/test.yml" ] || { compose 30 ps --all && compose 30 logs --tail 30; }
}
remove_site() {
    [ ! -e "$site/test.yml" ] || compose 200 down --volumes --timeout 10 >/dev/null 2>&1
}
left_of_site() {
    docker ps --all --quiet --filter "label=com.docker.compose.project=$run-$form"
    docker network ls --quiet --filter "label=com.docker.compose.project=$run-$form"
    docker volume ls --quiet --filter "label=com.docker.compose.project=$run-$form"
}

# --- start ----------------------------------------------------------------------------------------------------------

# As a reader calls it, but for the image's tag.
make_secrets() {
    SLACKTIDE="timeout 60 docker run --rm --network none --user $(id -u):$(id -g) --volume $site:$site \
        --env SLACKTIDE_GATEWAY__TOKENS slacktide:$run" timeout 600 "$site/scripts/compose-secrets.sh" >/dev/null
}
digests() { (cd "$site" && find secrets -type f -exec sha256sum {} + | sort --key 2); }

make_site() {
    project
    begin "make keys, certificates, tokens and passwords"
    mkdir "$site"
    cp -r compose.yml compose.cluster.yml config nats scripts "$site/"
    local before open
    make_secrets
    before=$(digests)
    make_secrets
    [ "$(digests)" = "$before" ] || fail "a second call of compose-secrets.sh changed a secret"
    # As in a site that was made before there was a cluster.
    rm -r "$site/secrets/cluster" "$site/secrets/system"
    before=$(digests)
    make_secrets
    [ "$(digests | grep -v ' secrets/\(cluster\|system\)/')" = "$before" ] || fail "the cluster's secrets changed others"
    mv "$site/secrets/authority" "$site/authority"
    before=$(digests)
    make_secrets
    [ "$(digests)" = "$before" ] || fail "compose-secrets.sh changed a secret while the authority was elsewhere"
    mv "$site/authority" "$site/secrets/authority"
    open=$(find "$site/secrets" -regex '.*\.\(seed\|key\|token\|password\|url\|json\|env\)' -perm /077 | head -n 1)
    [ -z "$open" ] || fail "$open is readable by other users"
    # What a test needs: whether this machine is idle is not under test, and a kind of request over the table of config/compose/core.sql.
    cat >"$site/test.yml" <<'YML'
services:
  social:
    environment:
      SLACKTIDE_GATE__MODE: open
YML
    cat >>"$site/config/social.toml" <<'TOML'

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
TOML
    end
}

all_healthy() {
    local service id
    for service in "${services[@]}"; do
        for id in $(containers "$service"); do
            [ "$(state '{{.State.Health.Status}}' "$id")" = healthy ] || return 1
        done
    done
}

start_site() {
    begin "start everything, in its order, until it is healthy"
    compose 400 up --detach --no-build --scale commercial=2 >/dev/null 2>"$folder/up.log" ||
        { cat "$folder/up.log" >&2; fail "up failed"; }
    until_true 180 "every service is healthy" all_healthy
    local service count
    for service in "${services[@]}"; do
        count=$(containers "$service" | wc -l)
        [ "$service $count" = "commercial 2" ] || [ "$service $count" = "$service 1" ] || fail "there are $count containers of $service"
    done
    [ "$(containers commercial | wc -l)" = 2 ] || fail "there are not two pollers"
    [ "$(state_of '{{.State.Status}} {{.State.ExitCode}}' apply)" = "exited 0" ] || fail "apply did not succeed"
    stored=20000
    end
}

check_privileges() {
    begin "no container has root, privileges, capabilities, a writable root or a published port"
    local id found
    for id in $(containers); do
        found=$(state '{{.Config.User}} {{.HostConfig.Privileged}} {{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}} {{len .HostConfig.PortBindings}}' "$id")
        [ "$found" = "$user false true [ALL] [no-new-privileges:true] 0" ] || fail "$(state '{{.Name}}' "$id"): $found"
    done
    end
}

# --- networks -------------------------------------------------------------------------------------------------------

# reached SERVICE HOST:PORT...: those of them that a container of the service reaches, all tried at the same time.
reached() {
    local service=$1
    shift
    compose 60 exec -T "$service" bash -c 'for at in "$@"; do
            timeout 5 bash -c "exec 3<>/dev/tcp/${at%:*}/${at#*:}" 2>/dev/null && echo "$at" &
        done
        wait' bash "$@" | tr -d '\r' | sort | paste -sd' '
}
# check_reached SERVICE HOST:PORT... -- HOST:PORT...: the service reaches the first ones, and none of the others.
check_reached() {
    local service=$1 expected=() found
    shift
    while [ "$1" != -- ]; do
        expected+=("$1")
        shift
    done
    shift
    found=$(reached "$service" "${expected[@]}" "$@")
    [ "$found" = "$(printf '%s\n' "${expected[@]}" | sort | paste -sd' ')" ] || fail "$service reaches $found, not ${expected[*]}"
}
# networks_of SERVICE: their names, without the project's.
networks_of() {
    state_of '{{range $name, $_ := .NetworkSettings.Networks}}{{$name}}{{"\n"}}{{end}}' "$1" |
        sed -n "s/^${COMPOSE_PROJECT_NAME}_//p" | sort | paste -sd' '
}
# check_networks SERVICE NETWORK...
check_networks() {
    local service=$1 found
    shift
    found=$(networks_of "$service")
    [ "$found" = "$*" ] || fail "$service is in the networks $found, not in $*"
}
# What both forms have: the agents reach the gateway, nothing else of the front, and one database each.
check_agents_and_databases() {
    check_networks social bureau dmz
    check_networks commercial dmz insurer
    check_networks core bureau
    check_networks insurer insurer
    check_reached social front:8443 core:5432 -- front:4222 front:8222 front:9104 insurer:5432
    check_reached commercial front:8443 insurer:5432 -- front:4222 front:8222 front:9104 core:5432
}
check_networks_of_single() {
    begin "only the gateway is reachable at the front, and no database from it"
    check_networks front dmz
    check_agents_and_databases
    check_reached front front:8443 -- core:5432 insurer:5432
    end
}

# --- rows and requests ----------------------------------------------------------------------------------------------

sql() { compose 60 exec -T "$1" psql --no-psqlrc --username postgres --dbname "$1" --no-align --tuples-only --command "$2"; }
rows='SELECT count(*), md5(string_agg(concat_ws(chr(31), setl_id, psn_no, medfee_sumamt, fund_pay_sumamt), chr(30)
    ORDER BY setl_id COLLATE "C")) FROM setl'
# equal COUNT: both databases have the same rows, so many, and the chunks that were stored had each of them once.
equal() {
    local found
    found=$(sql insurer "$rows" 2>/dev/null) || return 1
    [ "${found%%|*}" = "$1" ] && [ "$found" = "$(sql core "$rows")" ] || return 1
    found=$(sql insurer "SELECT sum(rows) FROM slacktide.ledger")
    [ "$found" = "$1" ] || fail "the chunks that were stored had $found rows, not $1"
}
# insert: 500 more rows in the core. `stored` is what is in the store when they have arrived.
insert() {
    local from=$((stored - 20000 + 1))
    sql core "INSERT INTO setl SELECT 'N' || g, 'M' || g, 'P' || g % 1000, g / 100.0, g / 200.0, now(), now()
        FROM generate_series($from, $((from + 499))) g" >/dev/null
    stored=$((stored + 500))
}
# rows_arrive SECONDS
rows_arrive() { until_true "$1" "$stored equal rows are stored" equal "$stored"; }

check_rows() {
    begin "every row of the core arrives"
    rows_arrive 180
    insert
    rows_arrive 60
    end
}

request() { compose 60 exec -T --index 1 commercial slacktide request "$@" --config /etc/slacktide/commercial.toml; }
file() { request file --kind setl.by_person --arg "psn_no=$1" --purpose 01 --basis 01 --key "$2" --actor tester 2>"$folder/request.log"; }
# is_filed PERSON KEY: files it and sets `id`. While no server leads the stream, filing is refused, and repeated with the same key.
is_filed() {
    id=$(file "$1" "$2" | sed -n 's/.*\([0-9]\{8\}-[0-9a-z]\{8,32\}\).*/\1/p' | head -n 1) && [ -n "$id" ]
}
# file_request PERSON KEY: sets `id`, and `answer` to the rows of the core that it should have.
file_request() {
    until_true 60 "a request is filed" is_filed "$1" "$2"
    answer=$(sql core "SELECT setl_id || ',' || medfee_sumamt FROM setl WHERE psn_no = '$1'" | sort)
}
has_answer() { [ "$(request result "$id" --format csv 2>"$folder/request.log" | tail -n +2 | tr -d '\r' | sort)" = "$answer" ]; }
# answer_arrives SECONDS
answer_arrives() { until_true "$1" "request $id is answered" has_answer; }

check_request() {
    begin "a request is answered"
    file_request P17 first
    answer_arrives 60
    end
}

# --- faults ---------------------------------------------------------------------------------------------------------

kill_services() {
    begin "nothing is lost when services are killed"
    local victim
    for victim in front social commercial; do
        # Not by the engine, whose kill counts as a stop: nats-server alone, then each container.
        if [ "$victim $form" = "front single" ]; then
            compose 30 exec -T front bash -c \
                'for at in /proc/[0-9]*; do [ "$(<$at/comm)" != nats-server ] || kill -KILL "${at#/proc/}"; done'
        fi
        insert
        compose 60 kill -s KILL "$victim" >/dev/null 2>&1
        compose 200 up --detach --no-build --no-recreate --scale commercial=2 >/dev/null 2>"$folder/up.log" ||
            { cat "$folder/up.log" >&2; fail "up failed after $victim was killed"; }
    done
    rows_arrive 180
    until_true 180 "every service is healthy again" all_healthy
    file_request P18 second
    answer_arrives 60
    end
}

restart_everything() {
    begin "a restart of every container keeps everything"
    compose 300 restart --timeout 45 >/dev/null 2>&1
    insert
    rows_arrive 180
    until_true 180 "every service is healthy again" all_healthy
    answer_arrives 60
    end
}

# finished SERVICE...: when each container ended, in nanoseconds.
finished() {
    local id
    for id in $(containers "$@"); do
        date --date "$(state '{{.State.FinishedAt}}' "$id")" +%s%N
    done | sort --numeric-sort
}
# in_order EARLIER... -- LATER...
in_order() {
    local earlier=()
    while [ "$1" != -- ]; do
        earlier+=("$1")
        shift
    done
    shift
    [ "$(finished "${earlier[@]}" | tail -n 1)" -lt "$(finished "$@" | head -n 1)" ] || fail "$* ended before ${earlier[*]}"
}

stop_site() {
    begin "everything stops in order, within its grace period"
    compose 200 stop >/dev/null 2>&1
    local id found
    for id in $(containers "${services[@]}"); do
        found=$(state '{{.State.Status}} {{.State.ExitCode}} {{.State.OOMKilled}}' "$id")
        [ "$found" = "exited 0 false" ] || fail "$(state '{{.Name}}' "$id"): $found"
    done
    in_order social commercial -- front core insurer
    [ "$form" = single ] || in_order front -- n1 n2 n3
    end
}
