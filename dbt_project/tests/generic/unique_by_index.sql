{#
  The columns together are unique, because a valid unique index on exactly them lets PostgreSQL
  store nothing else. Looking the index up costs the same however long the table grows; counting the
  rows would cost more every day. Fails when the index is missing.
#}
{% test unique_by_index(model, columns) %}
select '{{ columns | join(', ') }}' as columns_without_unique_index

where not exists (
    select 1
    from pg_catalog.pg_index as indexes
    where indexes.indrelid = '{{ model.render() }}'::regclass
        and indexes.indisunique
        and indexes.indisvalid
        and indexes.indpred is null
        and indexes.indexprs is null
        and indexes.indnkeyatts = {{ columns | length }}
        and {{ columns | length }} = (
            select count(*)
            from pg_catalog.pg_attribute as attributes
            where attributes.attrelid = indexes.indrelid
                and attributes.attnum = any(indexes.indkey)
                and attributes.attname in ('{{ columns | join("', '") }}')
        )
)
{% endtest %}
