import Basics
import Foundation
import Link
import Logging

extension InstanceKeeper {
  /// Gives the machine an event and does what it answers. Only a start that somebody waits for throws.
  func feed(_ event: Supervisor.Event, to instance: InstanceID) async throws {
    guard var item = kept[instance] else { return }
    let before = item.supervisor.state
    let action = item.supervisor.handle(event, policy: policy)
    if item.supervisor.state != before {
      item.timer?.cancel()
      item.timer = nil
      item.stuck = false
    }
    kept[instance] = item
    changed(instance)
    if action == .launch {
      try await launch(instance)
    } else {
      await perform(action, instance)
    }
  }

  /// An event that nobody waits for: its failure goes to the log, and the machine has decided what follows from it.
  func feedQuietly(_ event: Supervisor.Event, to instance: InstanceID) async {
    do {
      try await feed(event, to: instance)
    } catch {
      logger.warning(
        "an Instance could not be started", metadata: ["instance": "\(instance)", "reason": "\(error)"])
    }
  }

  func perform(_ action: Supervisor.Action, _ instance: InstanceID) async {
    switch action {
    case .none:
      break
    case .launch:
      // On its own, so that taking up many Instances does not wait for each.
      let task = Task { [weak self] in
        guard let self else { return }
        await self.launchQuietly(instance)
      }
      kept[instance]?.timer = task
    case .terminate:
      if let handle = kept[instance]?.handle { await backend.signal(handle, force: false) }
      after(policy.stopGrace, instance) { await $0.feedQuietly(.graceElapsed, to: instance) }
    case .kill:
      if let handle = kept[instance]?.handle { await backend.signal(handle, force: true) }
      after(RuntimeLimits.killGrace, instance) { await $0.giveUp(instance) }
    case .retry(let delay):
      after(delay, instance) { await $0.feedQuietly(.backoffElapsed, to: instance) }
    }
  }

  private func after(
    _ delay: Duration, _ instance: InstanceID, _ body: @escaping @Sendable (InstanceKeeper) async -> Void
  ) {
    kept[instance]?.timer = Task { [weak self, timers] in
      guard (try? await timers.sleep(for: delay)) != nil, let self else { return }
      // From here on the task is no timer any more: a change of state must not cancel what it does.
      await self.detachTimer(instance)
      await body(self)
    }
  }

  private func detachTimer(_ instance: InstanceID) { kept[instance]?.timer = nil }

  private func giveUp(_ instance: InstanceID) {
    kept[instance]?.stuck = true
    changed(instance)
  }

  private func launchQuietly(_ instance: InstanceID) async {
    detachTimer(instance)
    do {
      try await launch(instance)
    } catch {
      logger.warning(
        "an Instance could not be started", metadata: ["instance": "\(instance)", "reason": "\(error)"])
    }
  }

  /// Starts it, in a state of `starting`. The intent is on disk before anything runs.
  private func launch(_ instance: InstanceID) async throws {
    guard var item = kept[instance] else { return }
    let again = item.supervisor.state == .starting(requested: false)
    item.entry.record.launch = InstanceRecord.Launch(
      id: Hex.encode([UInt8].random(count: 16)), at: clock.now, boot: ProcessTable.bootID())
    if again { item.entry.record.restarts += 1 }
    do {
      try item.entry.directory.save(item.entry.record)
      kept[instance]?.entry.record = item.entry.record
      let handle = try await backend.launch(item.entry)
      launched(instance, handle)
    } catch {
      kept[instance]?.entry.record.launch = nil
      saveQuietly(instance)
      await feedQuietly(.launchFailed, to: instance)
      throw error
    }
    await feedQuietly(.started, to: instance)
  }

  private func launched(_ instance: InstanceID, _ handle: RunHandle) {
    kept[instance]?.handle = handle
    kept[instance]?.entry.record.launch?.processID = handle.processID
    kept[instance]?.entry.record.launch?.startTicks = handle.startTicks
    if let container = handle.containerID { kept[instance]?.entry.record.containerID = container }
    // Without this line on disk the process is still found, by the launch id in its environment.
    saveQuietly(instance)
    watch(instance, handle)
  }

  func watch(_ instance: InstanceID, _ handle: RunHandle) {
    guard let entry = kept[instance]?.entry else { return }
    kept[instance]?.watch?.cancel()
    kept[instance]?.watch = Task { [weak self, backend] in
      guard let exit = await backend.exit(of: handle, entry) else { return }
      await self?.ended(instance, handle, exit)
    }
  }

  /// It has ended. The same end may be told twice, by the watch and by a look: the second changes nothing.
  func ended(_ instance: InstanceID, _ handle: RunHandle, _ exit: InstanceExit) async {
    guard kept[instance]?.handle?.launch == handle.launch else { return }
    kept[instance]?.handle = nil
    kept[instance]?.watch = nil
    kept[instance]?.entry.record.launch = nil
    kept[instance]?.entry.record.lastExit = exit
    saveQuietly(instance)
    logger.notice(
      "an Instance ended",
      metadata: ["instance": "\(instance)", "code": "\(exit.code.map(String.init) ?? "unknown")"])
    await feedQuietly(.exited(code: exit.code, ranFor: exit.ranFor), to: instance)
  }

  /// Looks at the Host and tells the machine what it did not notice.
  func reconcile(_ instance: InstanceID) async throws {
    guard let item = kept[instance], item.entry.record.installed else { return }
    if item.handle != nil, backend.watchIsComplete { return }
    switch item.supervisor.state {
    case .starting, .cancelling: return
    case .stopped, .running, .stopping, .waiting, .held: break
    }
    let observation = try await backend.observe(item.entry)
    // The world went on while the look was under way: its answer is of yesterday.
    guard let now = kept[instance], now.handle == item.handle, now.supervisor == item.supervisor else { return }
    switch (observation, item.handle) {
    case (.running(let handle), nil):
      kept[instance]?.handle = handle
      watch(instance, handle)
      await feedQuietly(.adopted, to: instance)
    case (.ended(let exit), .some(let handle)):
      await ended(instance, handle, exit)
    case (.absent, .some(let handle)):
      await ended(instance, handle, InstanceExit(code: nil, at: clock.now, ranMilliseconds: 0))
    case (.running, .some), (.ended, nil), (.absent, nil):
      break
    }
  }
}
