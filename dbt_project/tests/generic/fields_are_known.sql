{#
  The objects in a jsonb column have the known fields and no others. Gives a row for each field that
  is new, or has vanished, in more than the accepted share of them.
#}
{% test fields_are_known(model, column_name, fields) %}
{%- set known = "array['" ~ fields | join("', '") ~ "']" -%}
with records as not materialized (

    select {{ column_name }} as record

    from {{ model }}

    where jsonb_typeof({{ column_name }}) = 'object'

),

differences as (

    select
        difference.field,
        difference.kind,
        count(*) as records

    from records

    cross join lateral (
        select
            field,
            'new' as kind
        from jsonb_object_keys(records.record - {{ known }}) as others (field)

        union all

        select
            field,
            'vanished'
        from unnest({{ known }}) as expected (field)
        where not records.record ? field
    ) as difference

    where records.record - {{ known }} <> '{}'
        or not records.record ?& {{ known }}

    group by difference.field, difference.kind

)

select
    differences.field,
    differences.kind,
    differences.records,
    looked_at.records as of_records

from differences

cross join (select count(*) as records from records) as looked_at

where looked_at.records >= {{ var('drift_min_records', 100) }}
    and differences.records > {{ var('drift_max_other_fields_share', 0.05) }} * looked_at.records
{% endtest %}
