with source as (
    select * from {{ source('silver', 'catalog_products') }}
),

renamed as (
    select
        -- keys
        product_id,
        cast(manufacturer_id as string) as manufacturer_id,

        -- attributes
        department,
        brand,
        product_category,
        product_type,
        package_size,

        -- history
        valid_from,
        valid_to,
        is_current,

        -- provenance
        _batch
    from source
)

select * from renamed
