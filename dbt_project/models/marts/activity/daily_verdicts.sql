{%- set key = ['activity_date', 'metric'] -%}
{{ config(
    unique_key=key,
    indexes=[{'columns': key, 'unique': true}],
) }}

with figures as (

    select * from {{ ref('int_daily_figures') }}

),

-- the same weekday in the eight weeks before
history as (

    select
        figures.activity_date,
        figures.metric,
        earlier.value

    from figures

    inner join figures as earlier
        on figures.metric = earlier.metric
        and earlier.activity_date between figures.activity_date - 56 and figures.activity_date - 7
        and (figures.activity_date - earlier.activity_date) % 7 = 0
        and earlier.value is not null

),

expected as (

    select
        activity_date,
        metric,
        {{ median('value') }} as expected

    from history

    group by activity_date, metric

    having count(*) >= 4

),

spread as (

    select
        history.activity_date,
        history.metric,
        expected.expected,
        1.4826 * {{ median('abs(history.value - expected.expected)') }} as spread

    from history

    inner join expected
        on history.activity_date = expected.activity_date
        and history.metric = expected.metric

    group by history.activity_date, history.metric, expected.expected

),

banded as (

    select
        figures.*,
        spread.expected,
        greatest(
            3 * spread.spread,
            case when figures.metric in ('attempts', 'unique_users') then 0.15 * spread.expected else 0.05 end
        ) as half_width

    from figures

    left join spread
        on figures.activity_date = spread.activity_date
        and figures.metric = spread.metric

),

judged as (

    select
        *,
        case
            when metric = 'rejected_share' and value >= 0.5 and new_records >= 100 then 'suspect'
            when value is null or expected is null then 'no_history'
            when metric = 'attempts' and value = 0 and expected >= 20 then 'suspect'
            when value > expected + 2 * half_width then 'suspect'
            when value < expected - 2 * half_width and metric <> 'rejected_share' then 'suspect'
            when value < expected - half_width and metric <> 'rejected_share' then 'unusual_low'
            when value > expected + half_width then 'unusual_high'
            else 'normal'
        end as verdict

    from banded

)

select
    activity_date,
    metric,
    value,
    expected,
    case
        when expected is null then null
        when metric = 'rejected_share' then 0
        else greatest(expected - half_width, 0)
    end as band_low,
    case
        when expected is null then null
        when metric in ('attempts', 'unique_users') then expected + half_width
        else least(expected + half_width, 1)
    end as band_high,
    verdict,
    -- the worst of the day's four
    case
        max(case verdict when 'suspect' then 3 when 'normal' then 1 when 'no_history' then 0 else 2 end)
            over (partition by activity_date)
        when 3 then 'suspect'
        when 2 then 'unusual'
        when 1 then 'normal'
        else 'no_history'
    end as day_verdict

from judged
