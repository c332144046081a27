{#
  For each load, how many of its rejected records have each reason: of those in `staged` that
  `rejected_attempts` lists, and of those that `removals` counts.
#}
{% macro rejections_by_reason(staged, rejected_attempts, removals) -%}
    select
        _dlt_load_id,
        jsonb_object_agg(reason, records) as rejected_by_reason

    from (
        select
            _dlt_load_id,
            reason,
            sum(records) as records

        from (
            select
                staged._dlt_load_id,
                reason.reason,
                1 as records
            from {{ staged }} as staged
            inner join {{ rejected_attempts }} as rejected
                on staged.rejected_record_id = rejected.rejected_record_id
                and staged.record_no = rejected.record_no
            cross join unnest(rejected.rejection_reasons) as reason (reason)

            union all

            select
                removals._dlt_load_id,
                reason.reason,
                reason.records::bigint as records
            from {{ removals }} as removals
            cross join jsonb_each_text(removals.rejected_by_reason) as reason (reason, records)
        ) as reasons

        group by _dlt_load_id, reason
    ) as counts

    group by _dlt_load_id
{%- endmacro %}
