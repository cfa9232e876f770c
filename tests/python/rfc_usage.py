# Initialize presence
async def initialize_presence():
    presence = PresenceEntity(
        entity_type=EntityType.MOBILE,
        broadcast_config=BroadcastConfig(
            radius=100,
            frequency=30
        )
    )
    await node.broadcast_presence(presence)

# Query nearby entities
async def discover_nearby():
    query = PresenceQuery(
        spatial_bounds=current_bounds,
        entity_filter=EntityFilter(
            types=[EntityType.MOBILE]
        )
    )
    results = await node.query_presence(query)
