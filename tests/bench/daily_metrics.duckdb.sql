-- The daily metrics from the API's bodies, by the same rules as the product's, nothing stored. Rules that can't matter for
-- these bodies (NUL characters, records from the future) are left out.
with records as (

    select
        json as record,
        -- the order of the files and of the records in each: which of an attempt's records counts
        row_number() over () as record_no
    from read_json_objects($files, format = 'array')

),

-- every field is taken out in one reading of the record
texts as (

    select
        record_no,
        json_extract_string(
            record, ['$.lti_user_id', '$.passback_params', '$.is_correct', '$.attempt_type', '$.created_at']
        ) as texts,
        json_type(record, ['$.lti_user_id', '$.attempt_type']) = ['VARCHAR', 'VARCHAR'] as are_texts
    from records

),

pieces as (

    select
        record_no,
        texts[1] as user_id,
        texts[2] as params,
        texts[3] as verdict,
        texts[4] as attempt_type,
        texts[5] as created_at_text,
        are_texts,
        string_split(texts[2], '''') as parts
    from texts

),

-- texts between quotes that, written again, give the same text were read exactly; the others are left to Python
parsed as materialized (

    select
        record_no,
        user_id,
        verdict,
        attempt_type,
        are_texts,
        case
            when len(parts) = 13
                and not contains(params, '\')
                and not contains(params, chr(10))
                and params = '{''oauth_consumer_key'': ''' || parts[4] || ''', ''lis_result_sourcedid'': ''' || parts[8]
                || ''', ''lis_outcome_service_url'': ''' || parts[12] || '''}'
                then [parts[4], parts[8], parts[12]]
            else read_passback(params)
        end as fields,
        case
            when translate(created_at_text, '123456789T', '000000000 ') = '0000-00-00 00:00:00.000000'
                or regexp_full_match(created_at_text, '\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d{1,6})?Z?')
                then try_cast(rtrim(created_at_text, 'Z') as timestamp)
        end as created_at
    from pieces

),

valid as (

    select
        record_no,
        user_id,
        fields[2] as sourcedid,
        attempt_type,
        created_at,
        case when verdict in ('1', '1.0', 'true') then 1 when verdict is null then -1 else 0 end as verdict
    from parsed
    where are_texts
        and length(user_id) <= 255
        and trim(user_id) <> ''
        and fields is not null
        and length(fields[1]) <= 255
        and length(fields[2]) <= 1000
        and trim(fields[2]) <> ''
        and (
            trim(fields[3]) = ''
            or (length(fields[3]) <= 2000 and (starts_with(fields[3], 'http://') or starts_with(fields[3], 'https://')))
        )
        and attempt_type in ('run', 'submit')
        and (verdict is null or (attempt_type = 'submit' and verdict in ('0', '1', '0.0', '1.0', 'true', 'false')))
        and created_at >= timestamp '2000-01-01'

),

-- an attempt takes its values from the record fetched last
attempts as (

    select
        user_id,
        sourcedid,
        attempt_type,
        created_at,
        arg_max(verdict, record_no) as verdict,
        (created_at at time zone 'UTC' at time zone 'Europe/Moscow')::date as activity_date
    from valid
    group by user_id, sourcedid, attempt_type, created_at

),

-- an id is split from the right; where one of its four parts is empty, the whole id is the task
places as (

    select
        *,
        string_split(sourcedid, ':') as parts,
        string_split(string_split(sourcedid, ':')[-2], '-') as place
    from attempts

),

tasks as (

    select
        user_id,
        created_at,
        verdict,
        case
            when len(parts) >= 3 and len(place) >= 2 and parts[-1] <> '' and place[-1] <> '' and strlen(parts[-2]) > strlen(place[-1]) + 1
                and strlen(sourcedid) > strlen(parts[-2]) + strlen(parts[-1]) + 2
                then
                    case when contains(sourcedid, '%') then url_decode(array_to_string(parts[:-3], ':')) else array_to_string(parts[:-3], ':') end
                    || '#' || place[-1]
            else sourcedid
        end as task
    from places

),

learner_days as (

    select
        user_id,
        activity_date,
        count(*) as attempts,
        count(*) filter (where attempt_type = 'run') as runs,
        count(*) filter (where attempt_type = 'submit') as submits,
        count(*) filter (where attempt_type = 'submit' and verdict >= 0) as graded,
        count(*) filter (where attempt_type = 'submit' and verdict = 1) as correct
    from attempts
    group by user_id, activity_date

),

neighbours as (

    select
        *,
        lag(activity_date) over of_learner is null as is_new,
        lead(activity_date) over of_learner as next_date
    from learner_days
    window of_learner as (partition by user_id order by activity_date)

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
    from neighbours
    group by activity_date

),

first_correct as (

    select user_id, task, min(created_at) as first_correct_at
    from tasks
    where verdict = 1
    group by user_id, task

),

until_correct as (

    select first_correct.first_correct_at, count(*) as attempts
    from first_correct
    inner join tasks
        on first_correct.user_id = tasks.user_id
        and first_correct.task = tasks.task
        and first_correct.first_correct_at >= tasks.created_at
    group by first_correct.user_id, first_correct.task, first_correct.first_correct_at

),

means as (

    select
        (first_correct_at at time zone 'UTC' at time zone 'Europe/Moscow')::date as activity_date,
        avg(attempts) as avg_attempts_to_first_correct
    from until_correct
    group by 1

),

calendar as (

    select unnest(generate_series(min(activity_date), max(activity_date), interval '1 day'))::date as activity_date
    from learner_days

),

-- a learner counts as unique for n days from each active day on, or until the next active day takes over
comings_and_goings as (

    select activity_date, 1 as change_7d, 1 as change_30d from neighbours
    union all
    select least(activity_date + 7, next_date), -1, 0 from neighbours
    union all
    select least(activity_date + 30, next_date), 0, -1 from neighbours
    union all
    select activity_date, 0, 0 from calendar

),

rolling as (

    select
        activity_date,
        sum(sum(change_7d)) over (order by activity_date) as unique_users_7d,
        sum(sum(change_30d)) over (order by activity_date) as unique_users_30d
    from comings_and_goings
    group by activity_date

)

select
    calendar.activity_date,
    coalesce(counts.attempts, 0) as attempts,
    coalesce(counts.runs, 0) as runs,
    coalesce(counts.submits, 0) as submits,
    coalesce(counts.correct_submits, 0) as correct_submits,
    counts.success_rate,
    coalesce(counts.unique_users, 0) as unique_users,
    counts.attempts / nullif(counts.unique_users, 0) as attempts_per_user,
    coalesce(counts.users_without_correct, 0) as users_without_correct,
    means.avg_attempts_to_first_correct,
    coalesce(counts.new_users, 0) as new_users,
    rolling.unique_users_7d,
    rolling.unique_users_30d
from calendar
left join counts using (activity_date)
left join means using (activity_date)
left join rolling using (activity_date)
order by activity_date
