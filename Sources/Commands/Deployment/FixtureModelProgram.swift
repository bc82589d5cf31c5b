import Basics
import Credentials
import Fleet
import Foundation
import Glibc
import Logging
import ServiceLifecycle
import Subprocess
import Synchronization
import SystemPackage

/// The model endpoint that `aw up` starts for its synthetic Org: a program beside this one, and a child of it.
public struct FixtureModelProgram: Service {
  /// The program that holds the stand-ins: the model endpoint, and an OpenClaw for machines that have none.
  public static let name = "aw-synthetic"
  static let keyVariable: Environment.Key = "AW_FIXTURE_MODEL_KEY"

  public let model: FixtureModel
  /// The simulated vendors, at the same port.
  let vendors: FixtureVendors
  let program: String
  let address: String
  let port: Int
  let key: Secret
  let logger: Logger

  /// Beside the program that runs, wherever a link to it may be; nil when it is not installed.
  public static var path: String? {
    let folder = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
    let path = folder.appending(path: name).path(percentEncoded: false)
    return FileManager.default.isExecutableFile(atPath: path) ? path : nil
  }

  /// - Parameters:
  ///   - address: what it listens on; containers reach it only on an address that is not the loopback's.
  ///   - port: stays the same from run to run, because Instances are configured with it.
  public init(program: String, address: String, port: Int, key: Secret, logger: Logger) throws {
    self.program = program
    self.address = address
    self.port = port
    self.key = key
    self.logger = logger
    guard let url = URL(string: "http://127.0.0.1:\(port)/v1"),
      let vendorsURL = URL(string: "http://127.0.0.1:\(port)/vendors")
    else {
      throw AWError(.usage, "\(port) is no port.", next: "Choose one from 1 to 65535.")
    }
    model = FixtureModel(url: url, key: key)
    vendors = FixtureVendors(url: vendorsURL)
  }

  /// Keeps the program running until the shutdown. It reads its standard input and ends when that is closed, so it
  /// ends with this process however that ends.
  public func run() async throws {
    while !Task.isShuttingDownGracefully, !Task.isCancelled {
      let (reading, writing) = try Self.pipe()
      let status = try await withGracefulShutdownHandler {
        try await runOnce(reading)
      } onGracefulShutdown: {
        writing.close()
      }
      writing.close()
      guard !Task.isShuttingDownGracefully, !Task.isCancelled else { return }
      logger.error("the fixture model ended and is started again", metadata: ["status": "\(status)"])
      // Cancellation is how a shutdown interrupts the wait; the loop's condition sees it.
      try? await Task.sleep(for: .seconds(1))
    }
  }

  private func runOnce(_ reading: FileDescriptor) async throws -> TerminationStatus {
    try await Subprocess.run(
      .path(FilePath(program)),
      arguments: ["model", "--host", address, "--port", String(port), "--until-stdin-closes"],
      environment: .inherit.updating([Self.keyVariable: key.withText { $0 }]),
      input: .fileDescriptor(reading, closeAfterSpawningProcess: true), output: .discarded, error: .discarded
    ).terminationStatus
  }

  /// The end to read from, and the end whose closing is the sign. Neither is passed on to other programs.
  private static func pipe() throws -> (FileDescriptor, Writing) {
    let (reading, writing) = try FileDescriptor.pipe()
    for end in [reading, writing] { _ = fcntl(end.rawValue, F_SETFD, FD_CLOEXEC) }
    return (reading, Writing(writing.rawValue))
  }

  /// Closes its descriptor once, however often and from wherever it is asked to.
  private final class Writing: Sendable {
    private let descriptor: Mutex<Int32?>

    init(_ descriptor: Int32) { self.descriptor = Mutex(descriptor) }

    func close() {
      descriptor.withLock { descriptor in
        if let open = descriptor { _ = Glibc.close(open) }
        descriptor = nil
      }
    }
  }
}
