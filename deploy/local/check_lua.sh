#!/usr/bin/env bash
# Checks the frontier's Lua scripts as Redis runs them: behind the files that they share, if they use them.
set -euo pipefail
cd "$(dirname "$0")/../.."
checked=$(mktemp -d)
trap 'rm -r "$checked"' EXIT
shared=(crawlers/frontier/{keys,counters,manners,hosts,deep,queues,library,seen}.lua)
of_exchange=(crawlers/frontier/{news,leasing}.lua)
find crawlers/frontier -name '*.lua' | while read -r script; do
    [[ " ${shared[*]} ${of_exchange[*]} " != *" $script "* ]] || continue
    name=$checked/$(basename "$script")
    if grep -q '^-- KEYS\[1\]' "$script"; then
        cp "$script" "$name"
    elif [[ $script == */exchange.lua ]]; then
        cat "${shared[@]}" "${of_exchange[@]}" "$script" > "$name"
    else
        cat "${shared[@]}" "$script" > "$name"
    fi
done
luacheck --quiet "$checked"/*.lua
