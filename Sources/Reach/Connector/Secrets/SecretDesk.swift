import Basics
import Foundation
import Link
import Logging
import NIOCore
import NIOPosix
import SecretExec

/// Where the Instances of one runtime ask for their secrets: a socket for each, so that which one it is and who may use
/// it says which Instance asks. Beside it lies the program that OpenClaw runs.
actor SecretDesk {
  private struct Counter {
    let org: Slug
    let listener: any Channel
    let task: Task<Void, Never>
  }

  private let broker: SecretBroker
  /// `aw-secret-exec`, a real file.
  private let program: String
  private let logger: Logger
  private var counters: [InstanceID: Counter] = [:]

  init(broker: SecretBroker, program: String, logger: Logger) {
    self.broker = broker
    self.program = program
    self.logger = logger
  }

  /// Makes the directory, the program and the socket of an Instance; what is there already stays.
  func open(_ spec: InstanceSpec, _ directory: InstanceDirectory, owner: FileOwner?) async throws {
    try DurableFile.makeDirectory(directory.secrets, mode: owner == nil ? 0o700 : 0o711)
    try place(at: directory.secretProgram, owner: owner)
    if counters[spec.instance] != nil { return }
    let user = owner?.user ?? geteuid()
    let (instance, org) = (spec.instance, spec.org)
    let server = try await Self.listen(at: directory.secretSocket, owner: owner)
    let task = Task { [broker, logger] in
      do {
        try await server.executeThenClose { clients in
          let under = Load()
          try await withThrowingDiscardingTaskGroup { group in
            for try await client in clients {
              group.addTask {
                let place = SecretClient(broker: broker, instance: instance, org: org, user: user, logger: logger)
                await place.serve(client, isBusy: !under.enter())
                under.leave()
              }
            }
          }
        }
      } catch {
        logger.warning("an Instance's socket ended", metadata: ["instance": "\(instance)", "reason": "\(error)"])
      }
    }
    counters[instance] = Counter(org: org, listener: server.channel, task: task)
  }

  /// Asks for the token of the Instance's Gateway, without which OpenClaw does not start: so it is known here even if
  /// the control plane is gone when the Instance starts. What is not told now is asked for then.
  func warm(_ spec: InstanceSpec) async {
    let id = InstanceSecretID.gatewayToken(of: spec.instance)
    guard spec.configuration.contains(id) else { return }
    _ = await broker.resolve([id], for: spec.instance, of: spec.org)
  }

  /// The Instance is gone. When it was the last one of its Org here, so are the Org's values.
  func close(_ instance: InstanceID, _ directory: InstanceDirectory) async throws {
    if let counter = counters.removeValue(forKey: instance) {
      try? await counter.listener.close()
      await counter.task.value
      await broker.forget(instance)
      if !counters.values.contains(where: { $0.org == counter.org }) { await broker.forget(counter.org) }
    }
    try DurableFile.remove(directory.secrets)
  }

  /// A copy of its own, owned by the Instance's user: OpenClaw runs no provider that somebody else owns.
  private func place(at path: String, owner: FileOwner?) throws {
    var (wanted, found) = (stat(), stat())
    guard stat(program, &wanted) == 0 else { throw AWError.programMissing(program) }
    // Written after the program was installed, and as long: not read at every start of a Host with many Instances.
    let isCurrent =
      lstat(path, &found) == 0 && found.st_mode == S_IFREG | 0o500 && found.st_size == wanted.st_size
      && found.st_mtim.tv_sec > wanted.st_mtim.tv_sec
    if isCurrent, owner == nil || DurableFile.owner(of: path) == owner { return }
    guard let bytes = try DurableFile.read(program) else { throw AWError.programMissing(program) }
    try DurableFile.write(bytes, to: path, mode: 0o500, owner: owner)
  }

  private static func listen(
    at path: String, owner: FileOwner?
  ) async throws -> NIOAsyncChannel<NIOAsyncChannel<ByteBuffer, ByteBuffer>, Never> {
    // The name of a directory may be longer than an address of a socket can be; that of its descriptor is not.
    let folder = (path as NSString).deletingLastPathComponent
    let descriptor = Glibc.open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw AWError.file(folder, errno, doing: "opened") }
    defer { Glibc.close(descriptor) }
    let name = "/proc/self/fd/\(descriptor)/" + (path as NSString).lastPathComponent
    let server = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
      .childChannelOption(.allowRemoteHalfClosure, value: true)
      .bind(unixDomainSocketPath: name, cleanupExistingSocketFile: true) { channel in
        channel.eventLoop.makeCompletedFuture {
          try NIOAsyncChannel(
            wrappingChannelSynchronously: channel,
            configuration: .init(
              isOutboundHalfClosureEnabled: true, inboundType: ByteBuffer.self, outboundType: ByteBuffer.self))
        }
      }
    guard chmod(path, 0o600) == 0 else { throw AWError.file(path, errno, doing: "changed") }
    if let owner, chown(path, owner.user, owner.group) != 0 { throw AWError.file(path, errno, doing: "given away") }
    return server
  }
}

/// What a runtime needs to let its Instances resolve secrets.
public struct SecretSource: Sendable {
  let broker: SecretBroker
  let program: String

  /// - Parameter program: the path of `aw-secret-exec`, a file that is copied into the directory of each Instance.
  public init(broker: SecretBroker, program: String) {
    self.broker = broker
    self.program = program
  }
}
