"""A warehouse on several machines, or what stands in for it on a plain PostgreSQL."""

from __future__ import annotations

from ingestion.warehouse import Warehouse

# Keeps everything in one place, and refuses what Citus refuses of a table that is put into shards.
_STAND_IN = r"""
    create table public.pg_dist_partition (logicalrelid regclass primary key, partkey text not null);

    create function public.citus_version() returns text language sql as $$ select 'Citus stand-in' $$;

    create function public.citus_get_active_worker_nodes() returns table (node_name text, node_port bigint)
    language sql as $$ values ('one', 5432), ('two', 5432) $$;

    create function public.create_distributed_table(name regclass, by text, colocate_with text default 'default')
    returns void language plpgsql as $$
    declare
        missing boolean;
        place smallint := (
            select attnum from pg_attribute where attrelid = name and attname = by and not attisdropped
        );
    begin
        -- what was dropped since
        delete from public.pg_dist_partition where logicalrelid not in (select oid from pg_class);
        if place is null then
            raise 'column % of % does not exist', by, name;
        end if;
        if exists (select from pg_class where oid = name and relpersistence = 't') then
            raise 'temporary tables can not be distributed';
        end if;
        if exists (
            select from pg_index where indrelid = name and indisunique and not place = any(indkey::smallint[])
        ) then
            raise 'creating unique indexes on non-partition columns is currently unsupported';
        end if;
        execute format('select exists (select from %s where %I is null)', name, by) into missing;
        if missing then
            raise 'the partition column of table % cannot be NULL', name;
        end if;
        if colocate_with <> 'default'
            and not exists (select from public.pg_dist_partition where logicalrelid = colocate_with::regclass) then
            raise '% is not distributed', colocate_with;
        end if;
        insert into public.pg_dist_partition values (name, by);
    end $$;
"""


SHARDS = "select logicalrelid::text from pg_dist_partition where logicalrelid in (select oid from pg_class) order by 1"
"""The tables that are in shards, by name."""


def stand_in(warehouse: Warehouse) -> None:
    """Give a database of a plain PostgreSQL the functions of Citus that the product calls."""
    with warehouse.session("tests") as cursor:
        cursor.execute(_STAND_IN)
