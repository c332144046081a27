-- Three roles for the grader ELT in the database {database}, each with no more than its stage needs, and one for
-- those who may see single learners.
-- Running this again only adds what is missing.
--
-- They cannot log in; accounts do, as members. An account for one stage takes on its role with each connection,
-- so that what it makes belongs to the role:
--   create role elt_load login password '…' in role grader_loader;             -- make ingest
--   alter role elt_load in database {database} set role = grader_loader;
--   create role elt_build login password '…' in role grader_transformer;       -- make build
--   alter role elt_build in database {database} set role = grader_transformer;
--   create role elt_report login password '…' in role grader_reporter;         -- make deliver, dashboards, people
-- Who helps learners reads the schema `learners` as well:
--   grant grader_learners to elt_report;
-- An account for all stages (make run) is a member of all three; run this again after it was made.
--   create role elt login password '…' in role grader_loader, grader_transformer, grader_reporter;

do $$
declare
    name text;
begin
    foreach name in array array['grader_loader', 'grader_transformer', 'grader_reporter', 'grader_learners'] loop
        if not exists (select from pg_roles where rolname = name) then
            execute format('create role %I nologin', name);
        end if;
    end loop;
end
$$;

grant connect on database {database} to grader_loader, grader_transformer, grader_reporter, grader_learners;

create schema if not exists raw;
create schema if not exists staging;
create schema if not exists marts;
create schema if not exists learners;

{ops}

-- The loader makes and writes the tables of `raw` and sees nothing else.
grant usage, create on schema raw to grader_loader;

-- The transformer reads `raw`, and makes and writes the other schemas; dbt prepares changes in temporary tables.
grant temporary on database {database} to grader_transformer;
grant usage on schema raw to grader_transformer;
grant usage, create on schema staging, marts, learners to grader_transformer;

-- The reporter reads `marts`. Three of them hold rows of single learners: `make metrics` needs two. To keep them from
-- the reporter, revoke them after the first run:
--   revoke select on marts.attempts, marts.rejected_attempts, marts.learner_tasks from grader_reporter;
grant usage on schema marts to grader_reporter;

-- Who may see single learners reads `learners`.
grant usage on schema learners to grader_learners;

-- All of them note their work in `ops`.
grant usage on schema ops to grader_loader, grader_transformer, grader_reporter;

-- What earlier runs have made is handed over. For that, run this as a superuser, or as its owner and a member of
-- the roles.
do $$
declare
    made record;
begin
    for made in
        select
            format('%I.%I', space.nspname, relation.relname) as name,
            case when space.nspname = 'raw' then 'grader_loader' else 'grader_transformer' end as role
        from pg_class as relation
        inner join pg_namespace as space on relation.relnamespace = space.oid
        inner join pg_roles as owner on relation.relowner = owner.oid
        where space.nspname in ('raw', 'staging', 'marts', 'learners')
            and relation.relkind in ('r', 'p', 'v', 'm')
            and owner.rolname not in ('grader_loader', 'grader_transformer')
    loop
        -- `alter table` serves views as well.
        execute format('alter table %s owner to %I', made.name, made.role);
    end loop;
    for made in
        select routine.oid::regprocedure as name
        from pg_proc as routine
        inner join pg_namespace as space on routine.pronamespace = space.oid
        inner join pg_roles as owner on routine.proowner = owner.oid
        where space.nspname = 'staging'
            and owner.rolname <> 'grader_transformer'
    loop
        execute format('alter routine %s owner to grader_transformer', made.name);
    end loop;
end
$$;

-- The next role may read what is there, and what is made later by the role itself or an account that is its member.
grant select on all tables in schema raw to grader_transformer;
grant select on all tables in schema marts to grader_reporter;
grant select on all tables in schema learners to grader_learners;
grant select, insert, update, delete on all tables in schema ops
to grader_loader, grader_transformer, grader_reporter;
do $$
declare
    made record;
begin
    for made in
        select
            makers.rolname as maker,
            hand_over.*
        from pg_roles as makers
        cross join (
            values
                ('raw', 'grader_loader', 'grader_transformer'),
                ('marts', 'grader_transformer', 'grader_reporter'),
                ('learners', 'grader_transformer', 'grader_learners')
        ) as hand_over (space, role, reader)
        where not makers.rolsuper
            and pg_has_role(makers.oid, hand_over.role, 'member')
    loop
        execute format(
            'alter default privileges for role %I in schema %I grant select on tables to %I',
            made.maker, made.space, made.reader
        );
    end loop;
end
$$;
