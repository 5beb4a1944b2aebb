# The steps of scripts/test-compose.sh that only the cluster has; scripts/test-compose.sh sources this file.

servers=(n1 n2 n3)

exchange_status() {
    compose 60 run --rm --no-deps -T apply exchange status --config /etc/slacktide/admin.toml 2>"$folder/status.log" | tr -d '\r'
}
# Every stream has three copies that are current. Below the line of a stream are indented ones of its consumers and copies.
copies_current() {
    local status
    status=$(exchange_status) || return 1
    grep --quiet '^DATA_insurer-a ' <<<"$status" && [ "$(awk 'NR > 1 && /^[^ ]/ { print $NF }' <<<"$status" | sort -u)" = 3/3 ]
}
# leader STREAM: the server that leads it.
leader() { exchange_status | awk -v stream="$1" '$1 == stream { print $(NF - 1) }'; }

check_copies() {
    begin "every stream has three copies"
    until_true 60 "exchange status shows 3/3 for every stream" copies_current
    end
}

check_networks_of_cluster() {
    begin "only the gateway reaches the servers, only the agents the gateway, and the routes are the servers' alone"
    check_networks front dmz exchange
    check_agents_and_databases
    local server network address port ports=() others=()
    for server in "${servers[@]}"; do
        check_networks "$server" exchange routes
        for network in exchange routes; do
            address=$(state_of "{{(index .NetworkSettings.Networks \"${COMPOSE_PROJECT_NAME}_$network\").IPAddress}}" "$server")
            for port in 4222 6222 8222; do
                if [ "$network $port" = "exchange 4222" ]; then ports+=("$address:$port"); else others+=("$address:$port"); fi
            done
        done
    done
    check_reached front front:8443 "${ports[@]}" -- "${others[@]}" n1:6222 n1-routes:6222 core:5432 insurer:5432
    check_reached social front:8443 -- "${ports[@]}" "${others[@]}" n1:4222
    check_reached commercial front:8443 -- "${ports[@]}" "${others[@]}" n1:4222
    [ "$(state_of '{{range .Mounts}}{{if eq .Type "volume"}}{{.Destination}}{{end}}{{end}}' front)" = "" ] ||
        fail "the front has a volume, but no server"
    end
}

# The agents that run, with the time at which each started: a restart would change it.
running_agents() {
    local id
    for id in $(containers social commercial); do
        state '{{.Name}} {{.State.Status}} {{.State.StartedAt}}' "$id"
    done | sort
}

lose_one_server() {
    begin "rows and requests flow while one server is killed"
    local agents victim
    agents=$(running_agents)
    victim=$(leader DATA_insurer-a) || { cat "$folder/status.log" >&2; fail "exchange status failed"; }
    [[ " ${servers[*]} " == *" $victim "* ]] || fail "DATA_insurer-a has no leader: $victim"
    insert
    compose 60 kill -s KILL "$victim" >/dev/null 2>&1
    insert
    rows_arrive 120
    file_request P19 third
    answer_arrives 60
    insert
    rows_arrive 60
    [ "$(state_of '{{.State.Status}}' "$victim")" = exited ] || fail "$victim was not down"
    end

    begin "the server's copies are current again after its restart"
    compose 60 start "$victim" >/dev/null 2>&1
    until_true 120 "exchange status shows 3/3 for every stream" copies_current
    until_true 120 "every service is healthy again" all_healthy
    insert
    rows_arrive 60
    [ "$(running_agents)" = "$agents" ] || fail "an agent was restarted"
    end
}

is_unhealthy() { [ "$(state_of '{{.State.Health.Status}}' "$1")" = unhealthy ]; }
lease_expired() {
    compose 60 exec -T social slacktide status --config /etc/slacktide/social.toml 2>/dev/null | grep '^lease  *expired' >/dev/null
}

lose_two_servers() {
    begin "everything waits while two servers are stopped, and continues with one of them"
    local agents before
    agents=$(running_agents)
    before=$stored
    compose 100 stop n1 n3 >/dev/null 2>&1
    insert
    ! file P20 fourth >/dev/null || fail "a request was filed without a majority of the servers"
    # The agents wait, which is healthy.
    until_true 120 "the server that is left is not healthy" is_unhealthy n2
    until_true 120 "the bureau's agent has tried and cannot renew its lease" lease_expired
    [ "$(sql insurer 'SELECT count(*) FROM setl')" = "$before" ] || fail "rows arrived without a majority of the servers"
    compose 60 start n1 >/dev/null 2>&1
    rows_arrive 180
    file_request P20 fourth
    answer_arrives 120
    [ "$(state_of '{{.State.Status}}' n3)" = exited ] || fail "n3 was not down"
    compose 60 start n3 >/dev/null 2>&1
    until_true 120 "exchange status shows 3/3 for every stream" copies_current
    until_true 120 "every service is healthy again" all_healthy
    [ "$(running_agents)" = "$agents" ] || fail "an agent was restarted"
    end
}
