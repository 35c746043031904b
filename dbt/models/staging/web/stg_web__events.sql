with source as (
    select * from {{ source('silver', 'web_events') }}
),

renamed as (
    select
        -- keys
        event_id,
        session_id,
        customer_id,
        product_id,

        -- attributes
        event_type,
        page,
        device,

        -- times
        occurred_at,
        cast(occurred_at as date) as event_date
    from source
    where {{ limit_data_in_dev('occurred_at') }}
)

select * from renamed
