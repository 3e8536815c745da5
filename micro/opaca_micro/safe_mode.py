"""What a board serves when its program has failed again and again: why, and a way out."""

import asyncio

from opaca_micro.agent import Agent

# It ends by itself, with one more try: what failed may have been a loose wire.
LASTS_S = 600
_ANSWER_S = 1


def describe(boot, reset):
    """Return the agents and the description that take the place of the program's.

    Args:
        boot: Tells how often it failed, and why.
        reset: Starts the board anew.
    """
    reason = "safe mode: the program failed %d times, last: %s" % (boot.failed, boot.reason)
    print(reason)
    agent = Agent("safe-mode", reason)
    is_over = []

    @agent.action("GetReason", result="string", description="Why the board's program does not run.")
    def get_reason():
        return reason

    @agent.action("Restart", description="Try the board's program once more.")
    def restart():
        is_over.append(True)

    @agent.job
    async def end():
        for _ in range(LASTS_S):
            if is_over:
                break
            await asyncio.sleep(1)
        # Whoever asked for it shall have the answer.
        await asyncio.sleep(_ANSWER_S)
        reset()

    return [agent], reason
