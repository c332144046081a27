with records as (

    select unnest(from_json(content, '["JSON"]')) as record
    from read_text($files)

),

texts as (

    select
        record ->> 'lti_user_id' as user_id,
        record ->> 'passback_params' as params,
        record ->> 'is_correct' as verdict,
        record ->> 'attempt_type' as attempt_type,
        try_cast(record ->> 'created_at' as timestamp) as created_at
    from records

),

-- the same guard as the product's: pieces between quotes that, written again, give the same text
pieces as (

    select
        *,
        string_split(params, '''') as parts
    from texts

),

parsed as (

    select
        *,
        case
            when len(parts) = 13
                and not contains(params, '\')
                and params = '{''oauth_consumer_key'': ''' || parts[4] || ''', ''lis_result_sourcedid'': ''' || parts[8]
                || ''', ''lis_outcome_service_url'': ''' || parts[12] || '''}'
                then parts[8]
            else read_passback(params)[2]
        end as sourcedid
    from pieces

),

attempts as (

    select
        user_id,
        sourcedid,
        attempt_type,
        created_at,
        bool_or(verdict = '1') as is_correct,
        bool_or(verdict is not null) as is_graded,
        (created_at at time zone 'UTC' at time zone 'Europe/Moscow')::date as activity_date
    from parsed
    where user_id is not null and sourcedid is not null and created_at is not null and attempt_type in ('run', 'submit')
    group by user_id, sourcedid, attempt_type, created_at

),

learner_days as (

    select
        user_id,
        activity_date,
        count(*) as attempts,
        count(*) filter (where attempt_type = 'run') as runs,
        count(*) filter (where attempt_type = 'submit') as submits,
        count(*) filter (where attempt_type = 'submit' and is_graded) as graded,
        count(*) filter (where attempt_type = 'submit' and is_correct) as correct,
        activity_date = min(activity_date) over (partition by user_id) as is_new
    from attempts
    group by user_id, activity_date

),

counts as (

    select
        activity_date,
        sum(attempts) as attempts,
        sum(runs) as runs,
        sum(submits) as submits,
        sum(correct) as correct_submits,
        sum(correct) / nullif(sum(graded), 0) as success_rate,
        count(*) as unique_users,
        count(*) filter (where correct = 0) as users_without_correct,
        count(*) filter (where is_new) as new_users
    from learner_days
    group by activity_date

),

first_correct as (

    select user_id, sourcedid, min(created_at) as first_correct_at
    from attempts
    where is_correct
    group by user_id, sourcedid

),

until_correct as (

    select first_correct.first_correct_at, count(*) as attempts
    from first_correct
    inner join attempts
        on first_correct.user_id = attempts.user_id
        and first_correct.sourcedid = attempts.sourcedid
        and first_correct.first_correct_at >= attempts.created_at
    group by first_correct.user_id, first_correct.sourcedid, first_correct.first_correct_at

),

means as (

    select
        (first_correct_at at time zone 'UTC' at time zone 'Europe/Moscow')::date as activity_date,
        avg(attempts) as avg_attempts_to_first_correct
    from until_correct
    group by 1

),

spread as (

    select
        learner_days.activity_date + offsets.after::integer as activity_date,
        learner_days.user_id,
        offsets.after
    from learner_days
    cross join generate_series(0, 29) as offsets (after)

),

rolling as (

    select
        activity_date,
        count(distinct user_id) filter (where after < 7) as unique_users_7d,
        count(distinct user_id) as unique_users_30d
    from spread
    group by activity_date

)

select counts.*, means.avg_attempts_to_first_correct, rolling.unique_users_7d, rolling.unique_users_30d
from counts
left join means using (activity_date)
left join rolling using (activity_date)
order by activity_date
