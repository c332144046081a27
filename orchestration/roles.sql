-- Three roles for the grader ELT in the database {database}, each with no more than its stage needs.
-- They cannot log in: grant one to an account, for instance
--   create role elt login password '…' in role grader_loader, grader_transformer, grader_reporter;

-- A role is made only if it is missing; running this again changes nothing.
do $$
begin
    if not exists (select from pg_roles where rolname = 'grader_loader') then
        create role grader_loader nologin;
    end if;
    if not exists (select from pg_roles where rolname = 'grader_transformer') then
        create role grader_transformer nologin;
    end if;
    if not exists (select from pg_roles where rolname = 'grader_reporter') then
        create role grader_reporter nologin;
    end if;
end
$$;

grant connect on database {database} to grader_loader, grader_transformer, grader_reporter;

-- The loader owns `raw` and sees nothing else.
create schema if not exists raw;
grant usage, create on schema raw to grader_loader;
grant select, insert, update, delete on all tables in schema raw to grader_loader;
grant usage, select on all sequences in schema raw to grader_loader;

-- The transformer reads `raw` and owns `staging` and `marts`.
grant usage on schema raw to grader_transformer;
grant select on all tables in schema raw to grader_transformer;
alter default privileges for role grader_loader in schema raw grant select on tables to grader_transformer;
create schema if not exists staging;
create schema if not exists marts;
grant usage, create on schema staging, marts to grader_transformer;

-- The reporter reads the marts: this is what deliveries, dashboards and people need.
grant usage on schema marts to grader_reporter;
grant select on all tables in schema marts to grader_reporter;
alter default privileges for role grader_transformer in schema marts grant select on tables to grader_reporter;
