"""The engine's catalog: Spark's own, in memory, with a file for each schema, table and view, so that it outlives the engine.

Spark's other catalog is Hive's metastore, a database of its own in the engine: docs/performance.md has what that took. Names of
tables and views are all that is asked of it here (what a Delta table holds, its log says), and the engine is the only one that
opens it. Not kept: permanent functions, and partitions, which tables of other formats than Delta's find in their folders.
"""

from pathlib import Path
from typing import Any

from lakehouse.engine import janino

_CATALOG = """
package lakehouse;

import java.io.File;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.ObjectInputStream;
import java.io.ObjectOutputStream;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import org.apache.spark.sql.catalyst.catalog.CatalogDatabase;
import org.apache.spark.sql.catalyst.catalog.CatalogTable;
import org.apache.spark.sql.types.StructType;

public class KeptCatalog extends org.apache.spark.sql.catalyst.catalog.InMemoryCatalog {
    private static final String SCHEMA = ".schema";  // the name of no table
    private final File folder;

    public KeptCatalog(org.apache.spark.SparkConf spark, org.apache.hadoop.conf.Configuration hadoop, String folder) {
        super(spark, hadoop);
        this.folder = new File(folder);
    }

    // Takes up what is kept, and returns the files of which nothing could be made, with the reason. What cannot be read is put
    // aside; where the place of what was read cannot be made (a store that is away), the next engine tries again.
    public synchronized java.util.List load(CatalogDatabase first) {
        java.util.List lost = new java.util.ArrayList();
        File[] schemas = listed(folder);
        for (int i = 0; i < schemas.length; i++) {
            File file = new File(schemas[i], SCHEMA);
            Object schema = read(file, lost);
            if (schema == null) {
                java.net.URI place = java.net.URI.create(first.locationUri() + "/" + schemas[i].getName());
                schema = new CatalogDatabase(schemas[i].getName(), "", place, first.properties());
            }
            try {
                super.createDatabase((CatalogDatabase) schema, true);
            } catch (Exception problem) {
                lost.add(file + " (" + problem + ")");
                continue;
            }
            File[] tables = listed(schemas[i]);
            for (int j = 0; j < tables.length; j++) {
                Object table = tables[j].getName().startsWith(".") ? null : read(tables[j], lost);
                try {
                    if (table != null) super.createTable((CatalogTable) table, true);
                } catch (Exception problem) {
                    lost.add(tables[j] + " (" + problem + ")");
                }
            }
        }
        super.createDatabase(first, true);
        return lost;
    }

    public synchronized void createDatabase(CatalogDatabase schema, boolean isLenient) {
        boolean isNew = !super.databaseExists(schema.name());
        super.createDatabase(schema, isLenient);
        if (isNew) keep(schema);
    }

    public synchronized void alterDatabase(CatalogDatabase schema) {
        super.alterDatabase(schema);
        keep(schema);
    }

    public synchronized void dropDatabase(String schema, boolean isLenient, boolean cascades) {
        boolean isThere = super.databaseExists(schema);
        super.dropDatabase(schema, isLenient, cascades);
        if (isThere) remove(new File(folder, schema));
    }

    // What is made or changed is written first: what this session sees, the next engine does as well, also where the disk is full.
    public synchronized void createTable(CatalogTable table, boolean isLenient) {
        String schema = table.database();
        String name = table.identifier().table();
        boolean isNew = super.databaseExists(schema) && !super.tableExists(schema, name);
        try {
            if (isNew) keep(table);
            super.createTable(table, isLenient);
        } finally {
            if (isNew && !super.tableExists(schema, name)) remove(file(schema, name));
        }
        if (isNew && table.storage().locationUri().isEmpty()) keep(super.getTable(schema, name));  // it was given its place
    }

    public synchronized void alterTable(CatalogTable table) {
        if (super.tableExists(table.database(), table.identifier().table())) keep(table);
        super.alterTable(table);
    }

    public synchronized void alterTableDataSchema(String schema, String table, StructType columns) {
        super.alterTableDataSchema(schema, table, columns);
        keep(super.getTable(schema, table));
    }

    public synchronized void alterTableStats(String schema, String table, scala.Option stats) {
        super.alterTableStats(schema, table, stats);
        keep(super.getTable(schema, table));
    }

    public synchronized void dropTable(String schema, String table, boolean isLenient, boolean isForGood) {
        boolean isThere = super.databaseExists(schema) && super.tableExists(schema, table);
        super.dropTable(schema, table, isLenient, isForGood);
        if (isThere) remove(file(schema, table));
    }

    public synchronized void renameTable(String schema, String table, String name) {
        super.renameTable(schema, table, name);
        keep(super.getTable(schema, name));
        remove(file(schema, table));
    }

    private File file(String schema, String table) {
        return new File(new File(folder, schema), table);
    }

    private void keep(CatalogDatabase schema) {
        write(file(schema.name(), SCHEMA), schema);
    }

    private void keep(CatalogTable table) {
        // Where the files were taken away under a running engine, or its schema is the one that each catalog has.
        if (!file(table.database(), SCHEMA).exists()) keep(super.getDatabase(table.database()));
        write(file(table.database(), table.identifier().table()), table);
    }

    private static void write(File file, Object what) {
        try {
            Files.createDirectories(file.getParentFile().toPath());
            File part = new File(file.getParentFile(), "." + file.getName() + ".part");
            FileOutputStream bytes = new FileOutputStream(part);
            try {
                ObjectOutputStream out = new Strict(bytes);
                out.writeObject(what);
                out.flush();
                bytes.getFD().sync();  // the name must not be there before what it names
            } finally {
                bytes.close();
            }
            Files.move(part.toPath(), file.toPath(), new java.nio.file.CopyOption[] {StandardCopyOption.ATOMIC_MOVE});
            FileChannel names = FileChannel.open(
                file.getParentFile().toPath(), new java.nio.file.OpenOption[] {StandardOpenOption.READ});
            try {
                names.force(true);
            } finally {
                names.close();
            }
        } catch (IOException problem) {
            throw new java.io.UncheckedIOException(problem);
        }
    }

    private static Object read(File file, java.util.List lost) {
        try {
            ObjectInputStream in = new ObjectInputStream(new FileInputStream(file));
            try {
                return in.readObject();
            } finally {
                in.close();
            }
        } catch (Exception problem) {  // torn by a power cut, of another Spark, or another user's
            lost.add(file + " (" + problem + ")");
            file.renameTo(new File(file.getParentFile(), "." + file.getName() + ".unread"));
            return null;
        }
    }

    // Spark passes views of maps where it means maps, and they cannot be written.
    private static class Strict extends ObjectOutputStream {
        Strict(java.io.OutputStream out) throws IOException {
            super(out);
            enableReplaceObject(true);
        }

        protected Object replaceObject(Object what) {
            if (!(what instanceof scala.collection.immutable.Map) || what instanceof java.io.Serializable) return what;
            scala.collection.immutable.Map none = scala.collection.immutable.Map$.MODULE$.empty();
            return none.$plus$plus((scala.collection.GenTraversableOnce) what);
        }
    }

    private static File[] listed(File folder) {
        File[] found = folder.listFiles();
        return found == null ? new File[0] : found;
    }

    private static void remove(File file) {
        File[] within = listed(file);
        for (int i = 0; i < within.length; i++) remove(within[i]);
        file.delete();
    }
}
"""


def keeps(folder: Path, table: str) -> bool:
    """Whether the catalog in `folder` has a file of a table or view of that name (`schema.table`; Spark's names are in lower case).
    Without one it may be there all the same, where the files were taken away under a running engine."""
    parts = table.lower().split(".")
    return len(parts) == 2 and all(parts) and folder.joinpath(*parts).is_file()


def install(spark: Any, folder: Path) -> list[str]:
    """Puts it into the shared state of a classic session, by py4j, with what the folder keeps; all sessions share that. Once a JVM.

    Returns the files of which nothing could be made, each with the reason: Delta tables are found in storage, and the product's
    views are made again by who needs them. Raises what py4j raises where Spark has another catalog than the one of 3.5.
    """
    jvm = spark._jvm
    constructor = (
        janino.compiled(jvm, _CATALOG).getClassLoader().loadClass("lakehouse.KeptCatalog").getConstructors()[0]
    )
    context = spark._jsc.sc()
    arguments = [context.conf(), context.hadoopConfiguration(), str(folder)]
    kept = constructor.newInstance(jvm.PythonUtils.toArray(arguments))
    told = spark._jsparkSession.sharedState().externalCatalog()  # tells listeners what it asks of the one beneath
    lost = [str(file) for file in kept.load(told.getDatabase("default"))]
    field = told.getClass().getDeclaredField("delegate")
    field.setAccessible(True)
    field.set(told, kept)
    return lost
