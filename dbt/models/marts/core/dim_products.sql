with versions as (
    select * from {{ ref('stg_catalog__products') }}
),

-- Facts look up a product as of their own time. Sales before the first snapshot, and in a gap of the catalog, belong to
-- the version nearest before them, or to the first: so the effective intervals of a product leave no moment out.
versions_with_neighbours as (
    select
        *,
        lag(valid_from) over (partition by product_id order by valid_from) as previous_valid_from,
        lead(valid_from) over (partition by product_id order by valid_from) as next_valid_from
    from versions
),

product_versions as (
    select
        {{ surrogate_key(['product_id', 'unix_micros(valid_from)']) }} as product_key,
        product_id,
        manufacturer_id,
        coalesce(department, 'UNKNOWN') as department,
        brand,
        product_category,
        product_type,
        package_size,
        valid_from,
        valid_to,
        is_current,
        if(previous_valid_from is null, timestamp '1900-01-01 00:00:00', valid_from) as effective_from,
        coalesce(next_valid_from, timestamp '9999-12-31 00:00:00') as effective_to
    from versions_with_neighbours
),

unknown_product as (
    select
        {{ unknown_key() }} as product_key,
        'unknown' as product_id,
        cast(null as string) as manufacturer_id,
        'UNKNOWN' as department,
        cast(null as string) as brand,
        cast(null as string) as product_category,
        cast(null as string) as product_type,
        cast(null as string) as package_size,
        timestamp '1900-01-01 00:00:00' as valid_from,
        cast(null as timestamp) as valid_to,
        true as is_current,
        timestamp '1900-01-01 00:00:00' as effective_from,
        timestamp '9999-12-31 00:00:00' as effective_to
),

final as (
    select * from product_versions
    union all
    select * from unknown_product
)

select * from final
