-- What the product notes of its own work. No build touches it; runs older than a year are removed.
create schema if not exists ops;

create table if not exists ops.runs (
    run_id text primary key,
    command text not null,
    started_at timestamptz not null,
    finished_at timestamptz,
    outcome text not null,
    exit_code int,
    reason text,
    host text not null,
    account text not null,
    is_demo boolean not null,
    code_version text,
    rules_version text,
    dbt_version text,
    dlt_version text,
    fetched bigint,
    accepted bigint,
    repeated bigint,
    rejected bigint,
    tests_passed int,
    tests_warned int,
    tests_failed int,
    tests_skipped int,
    as_of_day date,
    day_verdict text
);
comment on table ops.runs is
'Grain: one run of a command that changes the warehouse or delivers. outcome: running, done, failed, delivery failed, '
'suspect day, interrupted, killed (found by the next run).';

create table if not exists ops.run_stages (
    run_id text not null references ops.runs on delete cascade,
    position int not null,
    stage text not null,
    outcome text not null,
    seconds double precision not null,
    detail text not null,
    primary key (run_id, position)
);
comment on table ops.run_stages is 'Grain: one stage of a run, with its time in seconds and its counts in words.';

create table if not exists ops.run_tests (
    run_id text not null references ops.runs on delete cascade,
    test text not null,
    status text not null,
    failures bigint not null,
    message text not null,
    primary key (run_id, test)
);
comment on table ops.run_tests is 'Grain: one data test of a run that did not simply pass.';

create table if not exists ops.deliveries (
    run_id text not null,
    name text not null,
    target text not null,
    ok boolean not null,
    detail text not null,
    delivered_at timestamptz not null default now(),
    as_of_day date,
    figures jsonb
);
comment on table ops.deliveries is
'Grain: one delivery of a run (spreadsheet, report, mail), with the figures of the day that it was about.';

create table if not exists ops.alerts (
    kind text not null,
    key text not null,
    label text not null,
    opened_on date not null,
    told_on date not null,
    closed_on date,
    primary key (kind, key, opened_on)
);
comment on table ops.alerts is
'Grain: one incident or warning, from the last full day it was found on to the one it was gone.';

create table if not exists ops.periods (
    window_start timestamptz,
    window_end timestamptz,
    attempts bigint,
    runs bigint,
    submits bigint,
    correct_submits bigint,
    success_rate double precision,
    unique_users bigint,
    attempts_per_user double precision,
    users_without_correct bigint,
    avg_attempts_to_first_correct double precision,
    new_users bigint,
    computed_at timestamptz not null,
    primary key (window_start, window_end)
);
comment on table ops.periods is 'Grain: one window that was asked for, with its metrics.';

create table if not exists ops.erasures (
    erased_at timestamptz not null default now(),
    account text not null,
    host text not null,
    records bigint not null,
    attempts bigint not null,
    rejected bigint not null
);
comment on table ops.erasures is
'Grain: one learner who was forgotten: when, by whom, how many records, attempts and rejected records. Never who.';
