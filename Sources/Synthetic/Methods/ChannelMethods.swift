import Basics
import NIOCore
import NIOPosix

extension Gateway {
  /// Milliseconds before the first reconnect; doubled for each further one.
  private static let reconnectMilliseconds: Int64 = 5_000
  /// Milliseconds that a reconnect waits at most.
  private static let reconnectMillisecondsMax: Int64 = 300_000

  func startChannels() {
    channels = ChannelBoard(config: config.parsed)
    guard environment["OPENCLAW_SKIP_CHANNELS"] != "1" else { return }
    for account in channels.accounts where account.enabled { startAccount(account.id) }
  }

  private func startAccount(_ id: String) {
    channelTasks[id]?.cancel()
    channels.change(id) { account in
      account.isStopped = false
      account.restartPending = false
    }
    channelTasks[id] = Task { await self.keepConnected(id) }
  }

  /// Holds a connection to the account's server; tries again when there is none.
  private func keepConnected(_ id: String) async {
    var attempts: Int64 = 0
    while !Task.isCancelled {
      guard let account = channels.accounts.first(where: { $0.id == id }), !account.isStopped else { return }
      let startedAt = nowMilliseconds
      channels.change(id) { $0.lastStartAt = startedAt }
      do {
        let channel = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
          .connect(host: account.host, port: account.port).get()
        attempts = 0
        channels.change(id) { account in
          (account.running, account.lastError, account.restartPending) = (true, nil, false)
          account.reconnectAttempts = 0
        }
        await withTaskCancellationHandler {
          _ = await channel.closeFuture.map { true }.recover { _ in false }.result
        } onCancel: {
          channel.close(promise: nil)
        }
        fail(id, "IRC connection closed", attempts: attempts)
      } catch {
        fail(id, "connect ECONNREFUSED \(account.host):\(account.port)", attempts: attempts + 1)
      }
      attempts += 1
      let doubled = Self.reconnectMilliseconds << min(attempts - 1, 10)
      do { try await Task.sleep(for: .milliseconds(min(doubled, Self.reconnectMillisecondsMax))) } catch { return }
    }
  }

  private func fail(_ id: String, _ message: String, attempts: Int64) {
    guard !Task.isCancelled else { return }
    let stoppedAt = nowMilliseconds
    channels.change(id) { account in
      (account.running, account.restartPending, account.lastStopAt) = (false, true, stoppedAt)
      (account.lastError, account.reconnectAttempts) = (message, attempts)
    }
    note("[\(id)] channel exited: \(message)", subsystem: "channels/irc", level: "ERROR")
  }

  func channelsMethod(_ call: Call) throws -> JSONValue? {
    if call.method == "channels.status" { return channels.status(now: now, eventLoop: eventLoop) }
    let channel = call.text("channel") ?? ""
    guard channel == "irc", let main = channels.defaultAccount else {
      throw RPCFailure.invalid("invalid \(call.method) channel")
    }
    if call.method == "channels.logout" { throw RPCFailure.invalid("channel irc does not support logout") }
    let id = call.text("accountId") ?? main.id
    let account = channels.accounts.first { $0.id == id }
    let base: JSONValue = ["channel": .string(channel), "accountId": .string(id)]
    if call.method == "channels.start" {
      let canStart = account?.enabled == true
      // A start shows at once; the connection task corrects it when the server does not answer.
      if canStart {
        startAccount(id)
      }
      return base.setting("started", .bool(canStart))
    }
    channelTasks.removeValue(forKey: id)?.cancel()
    let stoppedAt = nowMilliseconds
    channels.change(id) { account in
      (account.isStopped, account.running, account.restartPending) = (true, false, false)
      account.lastStopAt = stoppedAt
    }
    return base.setting("stopped", true)
  }
}

extension EventLoopFuture where Value: Sendable {
  /// Waits for the end, however it comes.
  var result: Result<Value, any Error> {
    get async {
      do { return .success(try await get()) } catch { return .failure(error) }
    }
  }
}
