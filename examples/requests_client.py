"""Creates a video, follows its progress and downloads it. Usage: requests_client.py [prompt] [file]"""

import json
import os
import sys
import time

import requests

arguments = sys.argv[1:]
prompt = arguments[0] if arguments else "a large red circle moving left on a navy background"
file = arguments[1] if len(arguments) > 1 else "video.mp4"
url = os.environ.get("FUSIONFRAMES_URL", "http://127.0.0.1:8080")

session = requests.Session()
if "FUSIONFRAMES_API_KEY" in os.environ:
    session.headers["authorization"] = f"Bearer {os.environ['FUSIONFRAMES_API_KEY']}"


def get(path, **options):
    # The server sends something on an event stream at least every 15 seconds.
    response = session.get(f"{url}/v1/videos/{path}", timeout=(10, 60), **options)
    response.raise_for_status()
    return response


response = session.post(f"{url}/v1/videos", json={"prompt": prompt, "seed": 7, "frame_rate": "low"}, timeout=30)
if not response.ok:
    sys.exit(response.json()["error"]["message"])
video = response.json()

while video["status"] in ("queued", "in_progress"):
    try:
        with get(f"{video['id']}/events", stream=True) as events:
            for line in events.iter_lines(decode_unicode=True):
                if line.startswith("data: "):
                    video = json.loads(line[len("data: "):])
                    print(f"{video['id']}: {video['status']}, {video['progress']} %")
    except requests.ConnectionError:
        time.sleep(1)  # the server restarts; the video continues

if video["status"] != "completed":
    sys.exit(f"{video['id']}: {video['error']['message']}")
with get(f"{video['id']}/content", stream=True) as content, open(file, "wb") as output:
    for chunk in content.iter_content(1 << 16):
        output.write(chunk)
print(file)
