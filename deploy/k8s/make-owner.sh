#!/usr/bin/env bash
# Makes the role and the database that Switchback moves to; the image's entry point runs it once, in compose.yaml as in k8s.
# The role owns its database and is no superuser. CREATEDB is for `restore`, which fills a database
# beside the one that is there.
set -euo pipefail
psql --no-psqlrc --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres \
    --set password="$(cat "${APP_PASSWORD_FILE:-/run/secrets/app-password}")" <<'SQL'
CREATE ROLE app LOGIN CREATEDB PASSWORD :'password';
CREATE DATABASE app OWNER app ENCODING 'UTF8' TEMPLATE template0;
REVOKE ALL ON DATABASE app FROM PUBLIC;
SQL
