{#
  Which published loads a build looks at: the first and the last one that raw still has, and one in 30
  of the others, with each new load the next ones. `dbt test` by itself looks at all. A rebuild has
  staged everything again.
#}
{%- set receipts = load_receipts_relation() if execute else none -%}
{%- set looks_back = receipts is not none and not flags.FULL_REFRESH -%}
with attempts as (

    select * from {{ source('raw', 'attempts') }}

),

fetches as (

    select * from {{ ref('stg_grader__fetches') }}

),

staged as (

    select * from {{ ref('stg_grader__attempts') }}

),

removals as (

    select * from {{ ref('stg_grader__removals') }}

),

{% if looks_back %}
published as (

    select
        _dlt_load_id,
        record_no,
        coalesce(lag(record_no) over by_number, 0) as previous_no

    from {{ receipts }}

    where record_no is not null

    window by_number as (order by record_no)

),
{% else %}
published as (

    select
        null::varchar as _dlt_load_id,
        0::bigint as record_no,
        0::bigint as previous_no
    where false

),
{% endif %}

kept as (

    select
        published.*,
        coalesce(removals.records, 0) as forgotten,
        row_number() over (order by published.record_no) as number,
        count(*) over () as loads

    from published

    left join removals on published._dlt_load_id = removals._dlt_load_id

    where removals.is_expired is not true

),

looked_at as (

    select * from kept

    where number in (1, loads)
        or number % 30 = loads % 30
        or {{ flags.WHICH == 'test' }}

),

answered as (

    select
        _dlt_load_id,
        sum(records) as records

    from fetches

    group by _dlt_load_id

),

-- load by load, so that a block range of raw is read for each
found as (

    select
        looked_at._dlt_load_id,
        looked_at.forgotten,
        of_load.records

    from looked_at

    cross join lateral (
        select count(*) as records
        from attempts
        inner join staged on attempts.record_no = staged.record_no
        where attempts.record_no > looked_at.previous_no
            and attempts.record_no <= looked_at.record_no
            and attempts._dlt_load_id = looked_at._dlt_load_id
            and staged.record_no > looked_at.previous_no
            and staged.record_no <= looked_at.record_no
            and case
                when staged.is_valid
                    then attempts.record ->> 'lti_user_id' = staged.user_id
                        and attempts.record ->> 'attempt_type' = staged.attempt_type
                        and {{ parse_verdict("attempts.record -> 'is_correct'") }}
                        = coalesce(staged.is_correct::text, 'null')
                else attempts.record = staged.rejected_record
            end
    ) as of_load

)

select
    answered._dlt_load_id,
    answered.records as records_answered,
    found.forgotten as records_forgotten,
    found.records as records_as_they_were_staged

from answered

inner join found on answered._dlt_load_id = found._dlt_load_id

where answered.records - found.forgotten <> found.records
