with source as (
    select * from {{ source('silver', 'stripe_customers') }}
),

renamed as (
    select
        -- keys
        customer_id,

        -- personal
        name as customer_name,
        lower(trim(email)) as email,

        -- demographics
        age as age_group,
        income as income_group,
        home_ownership,
        marital_status,
        household_size,
        household_comp as household_composition,
        kids_count,

        -- times
        created_at,
        updated_at
    from source
)

select * from renamed
