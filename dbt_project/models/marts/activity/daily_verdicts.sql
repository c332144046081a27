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
        and figures.activity_date - earlier.activity_date in (7, 14, 21, 28, 35, 42, 49, 56)
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

-- the spread is the median deviation, scaled as for a normal distribution
bands as (

    select
        history.activity_date,
        history.metric,
        expected.expected,
        greatest(
            3 * 1.4826 * {{ median('abs(history.value - expected.expected)') }},
            case when history.metric in ('attempts', 'unique_users') then 0.15 * expected.expected else 0.05 end
        ) as half_width

    from history

    inner join expected
        on history.activity_date = expected.activity_date
        and history.metric = expected.metric

    group by history.activity_date, history.metric, expected.expected

),

banded as (

    select
        figures.*,
        bands.expected,
        bands.half_width,
        -- few rejected records are never too few
        case figures.metric when 'rejected_share' then 'infinity' else bands.half_width end as width_below

    from figures

    left join bands
        on figures.activity_date = bands.activity_date
        and figures.metric = bands.metric

),

judged as (

    select
        *,
        case
            when metric = 'rejected_share' and value >= 0.5 and new_records >= 100 then 'suspect'
            when value is null or expected is null then 'no_history'
            when metric = 'attempts' and value = 0 and expected >= 20 then 'suspect'
            when value > expected + 2 * half_width or value < expected - 2 * width_below then 'suspect'
            when value > expected + half_width then 'unusual_high'
            when value < expected - width_below then 'unusual_low'
            else 'normal'
        end as verdict

    from banded

)

select
    activity_date,
    metric,
    value,
    expected,
    case when expected is not null then greatest(expected - width_below, 0) end as band_low,
    case
        when expected is null then null
        when metric in ('attempts', 'unique_users') then expected + half_width
        else least(expected + half_width, 1)
    end as band_high,
    verdict,
    -- the worst of the day's four
    (array['no_history', 'normal', 'unusual', 'suspect'])[
        max(case verdict when 'no_history' then 1 when 'normal' then 2 when 'suspect' then 4 else 3 end)
            over (partition by activity_date)
    ] as day_verdict

from judged
