#!/bin/sh
# Loads rows by HTTP and reads them back, with curl and nothing else:
#   http.sh http://127.0.0.1:8817 people
# PGFLIGHT_TOKEN is sent where the server asks who calls. Where something is refused, what the server says goes to standard error, and
# the script ends with curl's code.
set -eu
base=$1 table=$2

# --fail-with-body makes a status of 400 and above code 22. --retry tries 429, 503 and lost connections again, when Retry-After says so;
# the Idempotency-Key makes the rows land once all the same.
call() {
    body=$(curl --silent --show-error --fail-with-body --retry 5 --retry-connrefused \
        ${PGFLIGHT_TOKEN:+-H "Authorization: Bearer $PGFLIGHT_TOKEN"} "$@") || {
        code=$?
        printf '%s\n' "$body" >&2
        exit "$code"
    }
    printf '%s\n' "$body"
}

call "$base/v1/tables/public/$table" -H "Idempotency-Key: $table-first" -H 'Content-Type: application/x-ndjson' --data-binary \
    '{"id": 1, "name": "a"}
{"id": 2, "name": null}'
call "$base/v1/tables/public/$table?columns=id,name" -H 'Accept: text/csv'
