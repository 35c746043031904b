"""Lets the catalog remember what it read of the metastore.

Every query names tables, and for each name Spark asks the metastore whether its schema is there, whether the table is, and
for the table: docs/performance.md has what that takes. The engine is the only one that opens its metastore, so that what it
read holds until it writes itself: what a writer names is forgotten, afterwards, for writers read as well. Names are the metastore's, which knows no case.
"""

from typing import Any

from lakehouse.engine import janino

_REMEMBERING = """
package lakehouse;

import org.apache.spark.sql.catalyst.catalog.CatalogDatabase;
import org.apache.spark.sql.catalyst.catalog.CatalogTable;
import org.apache.spark.sql.types.StructType;

public class RememberingCatalog extends org.apache.spark.sql.hive.HiveExternalCatalog {
    private final java.util.Map tables = new java.util.HashMap();
    private final java.util.Set schemas = new java.util.HashSet();

    public RememberingCatalog(org.apache.spark.SparkConf spark, org.apache.hadoop.conf.Configuration hadoop) {
        super(spark, hadoop);
    }

    private static Object key(String schema, String table) {
        return java.util.Arrays.asList(new Object[] {lower(schema), lower(table)});
    }

    private static String lower(String name) {
        return name.toLowerCase(java.util.Locale.ROOT);
    }

    public synchronized boolean databaseExists(String schema) {
        if (schemas.contains(lower(schema))) return true;
        if (!super.databaseExists(schema)) return false;
        schemas.add(lower(schema));
        return true;
    }

    public synchronized boolean tableExists(String schema, String table) {
        return tables.containsKey(key(schema, table)) || super.tableExists(schema, table);
    }

    public synchronized CatalogTable getTable(String schema, String table) {
        CatalogTable found = (CatalogTable) tables.get(key(schema, table));
        if (found == null) {
            found = super.getTable(schema, table);
            tables.put(key(schema, table), found);
        }
        return found;
    }

    public synchronized void createTable(CatalogTable table, boolean isLenient) {
        try {
            super.createTable(table, isLenient);
        } finally {
            tables.remove(key(table.database(), table.identifier().table()));
        }
    }

    public synchronized void alterTable(CatalogTable table) {
        try {
            super.alterTable(table);
        } finally {
            tables.remove(key(table.database(), table.identifier().table()));
        }
    }

    public synchronized void alterTableDataSchema(String schema, String table, StructType columns) {
        try {
            super.alterTableDataSchema(schema, table, columns);
        } finally {
            tables.remove(key(schema, table));
        }
    }

    public synchronized void alterTableStats(String schema, String table, scala.Option stats) {
        try {
            super.alterTableStats(schema, table, stats);
        } finally {
            tables.remove(key(schema, table));
        }
    }

    public synchronized void dropTable(String schema, String table, boolean isLenient, boolean isForGood) {
        try {
            super.dropTable(schema, table, isLenient, isForGood);
        } finally {
            tables.remove(key(schema, table));
        }
    }

    public synchronized void renameTable(String schema, String table, String name) {
        try {
            super.renameTable(schema, table, name);
        } finally {
            tables.remove(key(schema, table));
        }
    }

    public synchronized void alterDatabase(CatalogDatabase schema) {
        try {
            super.alterDatabase(schema);
        } finally {
            tables.clear();
        }
    }

    public synchronized void dropDatabase(String schema, boolean isLenient, boolean cascades) {
        try {
            super.dropDatabase(schema, isLenient, cascades);
        } finally {
            tables.clear();
            schemas.clear();
        }
    }
}
"""
"""Spark's own catalog, less what it knows. The lock is the one that Spark's takes for each call of the metastore."""


def remember(spark: Any) -> None:
    """Puts it into the shared state of a classic session, by py4j; all sessions share that. Once a JVM.

    Raises what py4j raises where Spark has another catalog than the one of 3.5: whatever the cause, the metastore is asked.
    """
    jvm = spark._jvm
    java = jvm.java.lang
    constructor = (
        janino.compiled(jvm, _REMEMBERING)
        .getClassLoader()
        .loadClass("lakehouse.RememberingCatalog")
        .getConstructors()[0]
    )
    context = spark._jsc.sc()
    remembering = constructor.newInstance(jvm.PythonUtils.toArray([context.conf(), context.hadoopConfiguration()]))
    told = spark._jsparkSession.sharedState().externalCatalog()  # tells listeners what it asks of the one beneath
    field = told.getClass().getDeclaredField("delegate")
    field.setAccessible(True)
    hive = java.Class.forName("org.apache.spark.sql.hive.HiveExternalCatalog")
    for name in ("client", "bitmap$0"):  # the connection that is open: a second one would take seconds to open
        kept = hive.getDeclaredField(name)
        kept.setAccessible(True)
        kept.set(remembering, kept.get(told.unwrapped()))
    field.set(told, remembering)
