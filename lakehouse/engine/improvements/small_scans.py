"""Lets Delta answer from memory what it asks of a table's log.

To find the files of a table that a query, a merge or an overwrite names, Delta starts two jobs on the table's log, and
another one to hear which writer wrote last (`txnAppId`): of a small table that is half of what a query costs
(docs/performance.md). For the bounds of a file in which it marks rows as gone it runs two more queries, which compute the whole
state from the log. The answers stand in the checksum that Delta writes beside each commit and holds with what it knows of the
version: sizes, writers, and up to fifty files their list. Here they are taken from there, and a query on a table of few files
reads all of them, for its own filter does the rest.

Where a version has no checksum, the log is asked as before. Whenever Delta makes a checkpoint it computes the state from the
log, as before, and compares.
"""

from typing import Any

from lakehouse.engine import javassist

MIB = 16
"""Of a larger table, as of one of more files than Delta lists, the statistics in the log spare a filter more than they cost: there
Delta asks for them."""
_SNAPSHOT = "org.apache.spark.sql.delta.Snapshot"
_NEIGHBOUR = "org.apache.spark.sql.delta.DeltaErrors"
"""A class of the same package and class loader, which is loaded without the snapshot's."""
_MARKS, _MARKED = (
    f"org.apache.spark.sql.delta.commands.{name}" for name in ("DMLWithDeletionVectorsHelper$", "TouchedFileWithDV")
)
"""Who marks rows as gone; and of its package and loader, a class that is loaded without it."""
_PACKAGES = (
    "scala",
    "org.apache.spark.sql.catalyst.expressions",
    "org.apache.spark.sql.delta",
    "org.apache.spark.sql.delta.actions",
    "org.apache.spark.sql.delta.stats",
)
_KNOWN = (
    "private VersionChecksum known() { return checksumOpt().isEmpty() ? null : (VersionChecksum) checksumOpt().get(); }"
)
_SCAN = f"""
private DeltaScan smallScan(scala.collection.Seq filters) {{
    VersionChecksum known = known();
    if (known == null || known.allFiles().isEmpty() || !metadata().partitionColumns().isEmpty()) return null;
    scala.collection.Seq files = (scala.collection.Seq) known.allFiles().get();
    if (files.size() != known.numFiles()) return null;
    boolean isSmall = known.tableSizeBytes() <= {MIB * 1024**2}L;
    for (int i = 0; i < filters.size(); i++) {{
        Expression filter = (Expression) filters.apply(i);
        boolean isTrue = Literal$.MODULE$.TrueLiteral().equals(filter);
        // One that names no column holds for all files or for none, and whoever deletes looks at the files alone.
        if (!isTrue && (!isSmall || filter.references().isEmpty())) return null;
    }}
    DataSize size = new DataSize(sizeInBytesIfKnown(), Option.empty(), numOfFilesIfKnown(), Option.empty());
    ExpressionSet none = ExpressionSet$.MODULE$.apply((scala.collection.TraversableOnce) scala.collection.immutable.Nil$.MODULE$);
    ExpressionSet asked = ExpressionSet$.MODULE$.apply((scala.collection.TraversableOnce) filters);
    return new DeltaScan(
        version(), files, size, size, size, this, none, asked, none,
        (scala.collection.immutable.Set) scala.collection.immutable.Set$.MODULE$.empty(), none, 0L,
        DeltaDataSkippingType.noSkippingV1());
}}
"""
_FIRST = {
    "filesForScan(scala.collection.Seq,boolean)": "DeltaScan found = smallScan($1); if (found != null) return found;",
    # Asked of the version before the first, for the list of files that the first one's checksum has.
    "allFiles()": (
        "if (version() < 0L) return spark().emptyDataset(org.apache.spark.sql.delta.implicits.package$.MODULE$.addFileEncoder());"
    ),
    "sizeInBytes()": "if (known() != null) return known().tableSizeBytes();",
    "numOfFiles()": "if (known() != null) return known().numFiles();",
    "setTransactions()": (
        "if (known() != null && known().setTransactions().isDefined()) return (scala.collection.Seq) known().setTransactions().get();"
    ),
    "domainMetadata()": (
        "if (known() != null && known().domainMetadata().isDefined()) return (scala.collection.Seq) known().domainMetadata().get();"
    ),
}
"""Method of Delta's snapshot → what it does first."""
_STATISTICS = r"""
private scala.collection.Seq withKnownStatistics(scala.collection.Seq marked, Snapshot of) {
    VersionChecksum known = of.checksumOpt().isEmpty() ? null : (VersionChecksum) of.checksumOpt().get();
    if (known == null || known.allFiles().isEmpty()) return null;
    scala.collection.Seq files = (scala.collection.Seq) known.allFiles().get();
    String tight = ",\"tightBounds\":true}";
    String wide = ",\"tightBounds\":false}";
    java.util.Map byPath = new java.util.HashMap();
    for (int i = 0; i < files.size(); i++) {
        AddFile file = (AddFile) files.apply(i);
        byPath.put(file.path(), file);
    }
    scala.collection.immutable.List found = scala.collection.immutable.Nil$.MODULE$;
    for (int i = marked.size() - 1; i >= 0; i--) {
        AddFile now = (AddFile) marked.apply(i);
        AddFile before = (AddFile) byPath.get(now.path());
        if (before == null || before.numPhysicalRecords().isEmpty()) return null;
        // As text, for the numbers in it may have more digits than a reader of JSON keeps. Delta writes this field last.
        String told = before.stats();
        if (told.endsWith(tight)) {
            // Its counts of nulls are of the rows that were left, and would have to be of all: Delta finds out.
            if (before.deletionVector() != null) return null;
            told = told.substring(0, told.length() - tight.length()) + wide;
        } else if (!told.endsWith(wide)) {
            return null;
        }
        found = found.$colon$colon(new AddFile(
            now.path(), now.partitionValues(), now.size(), now.modificationTime(), now.dataChange(), told, now.tags(),
            now.deletionVector(), now.baseRowId(), now.defaultRowCommitVersion(), now.clusteringProvider()));
    }
    return found;
}
"""
"""The files in which rows are marked as gone (without what the log says of their columns) → the same with it: the bounds are those
of all rows, also of the ones that are gone."""
_FIRST_OF_MARKS = "{ scala.collection.Seq found = withKnownStatistics($2, $3); if (found != null) return found; }"


def install(spark: Any) -> None:
    """Has Delta's snapshots do so in the JVM of a classic session, by py4j. Once a JVM, before the first table is opened.

    Raises what py4j raises, or TypeError, where Delta has other snapshots than those of 3.3, or holds one already: whatever the
    cause, the log is asked as before.
    """
    jvm = spark._jvm
    with javassist.changed(jvm, _SNAPSHOT, _NEIGHBOUR, _PACKAGES) as snapshot:
        methods = {
            method.getLongName().removeprefix(f"{_SNAPSHOT}."): method for method in snapshot.getDeclaredMethods()
        }
        if missing := _FIRST.keys() - methods.keys():
            raise TypeError(f"{_SNAPSHOT} has no {', '.join(sorted(missing))}; expected those of Delta 3.3.")
        for source in (_KNOWN, _SCAN):
            javassist.add_method(jvm, snapshot, source)
        for name, first in _FIRST.items():
            methods[name].insertBefore(f"{{ {first} }}")
    with javassist.changed(jvm, _MARKS, _MARKED, _PACKAGES) as marks:
        javassist.add_method(jvm, marks, _STATISTICS)
        marks.getDeclaredMethod("getActionsWithStats").insertBefore(_FIRST_OF_MARKS)
