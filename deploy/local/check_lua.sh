#!/usr/bin/env bash
# Checks the frontier's Lua scripts as Redis runs them: library.lua and seen.lua in front of each that uses them.
set -euo pipefail
cd "$(dirname "$0")/../.."
checked=$(mktemp -d)
trap 'rm -r "$checked"' EXIT
find crawlers/frontier -name '*.lua' ! -name library.lua ! -name seen.lua | while read -r script; do
    name=$checked/$(basename "$script")
    if grep -q '^-- KEYS\[1\]' "$script"; then cp "$script" "$name"; else cat crawlers/frontier/{library,seen}.lua "$script" > "$name"; fi
done
luacheck --quiet "$checked"/*.lua
