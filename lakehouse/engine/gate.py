"""The door of the engine: a gRPC server on the loopback that asks every call for the token.

Spark Connect 3.5 itself binds every interface and knows no authentication. This builds the same service behind a
server of ours, with an interceptor compiled by the Java compiler that ships with Spark (Janino).
"""

from typing import Any

from lakehouse.engine.config import HEARTBEAT_SECONDS, MESSAGE_BYTES

HEADER = "x-engine-token"

_SOURCE = """
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import org.sparkproject.connect.grpc.*;

public class EngineGate implements ServerInterceptor {
  private final Metadata.Key key = Metadata.Key.of("x-engine-token", Metadata.ASCII_STRING_MARSHALLER);
  private final byte[] token;
  final AtomicLong last = new AtomicLong(System.nanoTime());
  final AtomicInteger open = new AtomicInteger();

  public EngineGate(String token) { this.token = token.getBytes(); }

  /** Milliseconds since the last call ended; 0 while one is open. */
  public long idleMillis() {
    return open.get() > 0 ? 0L : (System.nanoTime() - last.get()) / 1000000L;
  }

  void ended() { open.decrementAndGet(); last.set(System.nanoTime()); }

  public ServerCall.Listener interceptCall(ServerCall call, Metadata headers, ServerCallHandler next) {
    String got = (String) headers.get(key);
    if (got == null || !java.security.MessageDigest.isEqual(got.getBytes(), token)) {
      call.close(Status.UNAUTHENTICATED.withDescription("engine token missing or wrong"), new Metadata());
      return new ServerCall.Listener() {};
    }
    open.incrementAndGet();
    try {
      return new CountedCall(this, next.startCall(call, headers));
    } catch (RuntimeException problem) {
      ended();
      throw problem;
    }
  }

  public static class CountedCall extends ServerCall.Listener {
    private final EngineGate gate;
    private final ServerCall.Listener inner;
    private final AtomicBoolean done = new AtomicBoolean();

    CountedCall(EngineGate gate, ServerCall.Listener inner) { this.gate = gate; this.inner = inner; }

    public void onMessage(Object message) { inner.onMessage(message); }
    public void onHalfClose() { inner.onHalfClose(); }
    public void onReady() { inner.onReady(); }
    public void onCancel() { finish(); inner.onCancel(); }
    public void onComplete() { finish(); inner.onComplete(); }

    private void finish() { if (done.compareAndSet(false, true)) gate.ended(); }
  }
}
"""


class Gate:
    """A running server: its port, how long nobody called, and how to close it."""

    def __init__(self, server: Any, interceptor: Any) -> None:
        self._server = server
        self._interceptor = interceptor
        self.port: int = server.getPort()

    def idle_seconds(self) -> float:
        return float(self._interceptor.idleMillis()) / 1000

    def close(self) -> None:
        """Refuses new calls and cuts the open ones."""
        self._server.shutdownNow()


def open_gate(spark: Any, token: str, port: int = 0) -> Gate:
    """Serves Spark Connect for this classic session on 127.0.0.1; port 0 lets the system choose a free one."""
    jvm, gateway = spark.sparkContext._jvm, spark.sparkContext._gateway
    service = jvm.org.apache.spark.sql.connect.service
    interceptor = _interceptor(jvm, gateway, token)
    builder = (
        jvm.org.sparkproject.connect.grpc.netty.NettyServerBuilder.forAddress(
            jvm.java.net.InetSocketAddress("127.0.0.1", port)
        )
        .maxInboundMessageSize(MESSAGE_BYTES)
        # By default a client that asks more often than every five minutes is cut off.
        .permitKeepAliveTime(HEARTBEAT_SECONDS // 2, jvm.java.util.concurrent.TimeUnit.SECONDS)
        .addService(service.SparkConnectService(False))
        .intercept(interceptor)
    )
    registry = getattr(getattr(service, "SparkConnectInterceptorRegistry$"), "MODULE$")
    registry.chainInterceptors(builder)
    return Gate(builder.build().start(), interceptor)


def _interceptor(jvm: Any, gateway: Any, token: str) -> Any:
    compiler = jvm.org.codehaus.janino.SimpleCompiler()
    compiler.setParentClassLoader(jvm.java.lang.Thread.currentThread().getContextClassLoader())
    compiler.cook(_SOURCE)
    arguments = gateway.new_array(jvm.java.lang.Object, 1)
    arguments[0] = token
    return compiler.getClassLoader().loadClass("EngineGate").getConstructors()[0].newInstance(arguments)
