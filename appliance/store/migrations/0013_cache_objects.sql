-- Whether a cache still names an object is asked by the sweep of what uploads left behind.
CREATE INDEX caches_by_object ON caches (object);
