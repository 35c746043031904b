"""Lets Spark write local files without a process for each.

Hadoop sets permissions and looks for links in a library of its own that no package brings; without it each file
and folder written starts a `chmod`, and each rename `readlink`, which small commits of Delta do again and again. Here Java
itself does the same (a folder keeps its bits of user and group, as by `chmod`). What Hadoop calls a local file system stays
as it is in all else: its checksums, its renames.
"""

from typing import Any

from lakehouse.engine import janino

_PACKAGE = "org.apache.hadoop.fs"
_CLASSES = {
    "LakehouseRawFiles": """
        public class LakehouseRawFiles extends RawLocalFileSystem {
            public void setPermission(Path path, org.apache.hadoop.fs.permission.FsPermission permission)
                    throws java.io.IOException {
                java.nio.file.Path place = pathToFile(path).toPath();
                int mode = permission.toShort();
                if (java.nio.file.Files.isDirectory(place, new java.nio.file.LinkOption[0])) {
                    Object old = java.nio.file.Files.getAttribute(place, "unix:mode", new java.nio.file.LinkOption[0]);
                    mode |= ((Integer) old).intValue() & 06000;
                }
                java.nio.file.Files.setAttribute(
                    place, "unix:mode", Integer.valueOf(mode), new java.nio.file.LinkOption[0]
                );
            }

            public FileStatus getFileLinkStatus(Path path) throws java.io.IOException {
                boolean isLink = java.nio.file.Files.isSymbolicLink(pathToFile(path).toPath());
                return isLink ? super.getFileLinkStatus(path) : getFileStatus(path);
            }

            public FileStatus[] listStatus(Path folder) throws java.io.IOException {
                String[] names = pathToFile(folder).list();
                if (names == null) return super.listStatus(folder);
                java.util.List found = new java.util.ArrayList(names.length);
                for (int i = 0; i < names.length; i++) {
                    // Whoever lists with checksums leaves these out, once their state has been asked for.
                    if (names[i].startsWith(".") && names[i].endsWith(".crc")) continue;
                    try {
                        found.add(getFileStatus(new Path(folder, new Path(null, null, names[i]))));
                    } catch (java.io.FileNotFoundException gone) {
                        // since it was listed, or a link to nothing: Hadoop leaves it out as well
                    }
                }
                return (FileStatus[]) found.toArray(new FileStatus[0]);
            }
        }
    """,
    "LakehouseFiles": """
        public class LakehouseFiles extends LocalFileSystem {
            public LakehouseFiles() {
                super(new LakehouseRawFiles());
            }

            public static void install(org.apache.hadoop.conf.Configuration conf) throws java.io.IOException {
                java.net.URI uri = FsConstants.LOCAL_FS_URI;
                LakehouseFiles files = new LakehouseFiles();
                files.initialize(uri, conf);
                FileSystem.addFileSystemForTesting(uri, conf, files);
                conf.set("fs.file.impl", LakehouseFiles.class.getName());
                conf.set("fs.AbstractFileSystem.file.impl", LakehouseFs.class.getName());
            }
        }
    """,
    "LakehouseRawFs": """
        public class LakehouseRawFs extends DelegateToFileSystem {
            LakehouseRawFs(org.apache.hadoop.conf.Configuration conf)
                    throws java.io.IOException, java.net.URISyntaxException {
                super(FsConstants.LOCAL_FS_URI, new LakehouseRawFiles(), conf, FsConstants.LOCAL_FS_URI.getScheme(), false);
            }

            public int getUriDefaultPort() {
                return -1;
            }

            public boolean isValidName(String name) {
                return true;
            }

            public FsServerDefaults getServerDefaults() throws java.io.IOException {
                return org.apache.hadoop.fs.local.LocalConfigKeys.getServerDefaults();
            }

            public FsServerDefaults getServerDefaults(Path path) throws java.io.IOException {
                return org.apache.hadoop.fs.local.LocalConfigKeys.getServerDefaults();
            }
        }
    """,
    "LakehouseFs": """
        public class LakehouseFs extends ChecksumFs {
            public LakehouseFs(java.net.URI uri, org.apache.hadoop.conf.Configuration conf)
                    throws java.io.IOException, java.net.URISyntaxException {
                super(new LakehouseRawFs(conf));
            }
        }
    """,
}
"""Of both of Hadoop's interfaces to files (Delta commits by the second), each with and without checksums. In order: a class
after what it extends."""


def install(spark: Any) -> None:
    """Has Hadoop's configuration of a classic session, and all that are made from it, write local files so. By py4j; once a JVM.

    Raises what py4j raises where Hadoop is another than the one of Spark 3.5: whatever the cause, files are written as before.
    """
    jvm = spark._jvm
    java = jvm.java.lang
    handles = jvm.java.lang.invoke.MethodHandles
    # Beside Hadoop's own classes, where every class loader finds them: each operation of Spark Connect has a new one.
    lookup = handles.privateLookupIn(java.Class.forName(f"{_PACKAGE}.RawLocalFileSystem"), handles.lookup())
    codes = janino.compiled(jvm, f"package {_PACKAGE};\n" + "\n".join(_CLASSES.values())).getBytecodes()
    for name in _CLASSES:
        lookup.defineClass(codes.get(f"{_PACKAGE}.{name}"))
    jvm.org.apache.hadoop.fs.LakehouseFiles.install(spark._jsc.hadoopConfiguration())
